/* Kernels of a loss's penalty on the code, for REAL. */

PUDLE_KERNEL K(code_value)(PUDLE_OPTIONS o, const REAL *z, double *partial, long long n)
{
    PUDLE_TOTAL(partial, n,
        double f, df;
        pudle_code_entry<double>(&o, (double)z[i], &f, &df);
        sum += f;)
}
PUDLE_CALLABLE(K(code_value))
PUDLE_KERNEL K(code_grad)(PUDLE_OPTIONS o, const REAL *z, REAL *g, long long n)
{
    PUDLE_ENTRIES(i, n) {
        REAL f, df;
        pudle_code_entry<REAL>(&o, z[i], &f, &df);
        g[i] += df;
    }
}
PUDLE_CALLABLE(K(code_grad))

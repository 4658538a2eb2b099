/* Kernels of a loss for REAL. */

PUDLE_KERNEL K(loss_value)(PUDLE_OPTIONS o, const REAL *eta, const REAL *x, double *partial, long long n)
{
    PUDLE_TOTAL(partial, n,
        double f, df, ddf, mean;
        bool ok;
        pudle_loss_entry<double>(&o, (double)eta[i], (double)x[i], &f, &df, &ddf, &mean, &ok);
        sum += f;)
}
PUDLE_CALLABLE(K(loss_value))
PUDLE_KERNEL K(loss_grad)(PUDLE_OPTIONS o, const REAL *eta, const REAL *x, REAL *g, long long n)
{
    PUDLE_ENTRIES(i, n) {
        REAL f, df, ddf, mean;
        bool ok;
        pudle_loss_entry<REAL>(&o, eta[i], x[i], &f, &df, &ddf, &mean, &ok);
        g[i] = df;
    }
}
PUDLE_CALLABLE(K(loss_grad))
PUDLE_KERNEL K(loss_hvp)(PUDLE_OPTIONS o, const REAL *eta, const REAL *x, const REAL *u, REAL *hu, long long n)
{
    PUDLE_ENTRIES(i, n) {
        REAL f, df, ddf, mean;
        bool ok;
        pudle_loss_entry<REAL>(&o, eta[i], x[i], &f, &df, &ddf, &mean, &ok);
        hu[i] = ddf * u[i];
    }
}
PUDLE_CALLABLE(K(loss_hvp))
PUDLE_KERNEL K(loss_mean)(PUDLE_OPTIONS o, const REAL *eta, REAL *m, long long n)
{
    PUDLE_ENTRIES(i, n) {
        REAL f, df, ddf, mean;
        bool ok;
        pudle_loss_entry<REAL>(&o, eta[i], (REAL)0, &f, &df, &ddf, &mean, &ok);
        m[i] = mean;
    }
}
PUDLE_CALLABLE(K(loss_mean))

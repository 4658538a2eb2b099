/* The functions of a body's vocabulary (pudle/elementwise.h) for REAL. Whole numbers may stand beside a real, as in C: so a function of two arguments also takes
 * an int on either side. */
PUDLE_DEVICE REAL pudle_abs(REAL x) { return F(fabs)(x); }
PUDLE_DEVICE REAL pudle_sqrt(REAL x) { return F(sqrt)(x); }
PUDLE_DEVICE REAL pudle_cbrt(REAL x) { return F(cbrt)(x); }
PUDLE_DEVICE REAL pudle_exp(REAL x) { return F(exp)(x); }
PUDLE_DEVICE REAL pudle_expm1(REAL x) { return F(expm1)(x); }
PUDLE_DEVICE REAL pudle_log(REAL x) { return F(log)(x); }
PUDLE_DEVICE REAL pudle_log1p(REAL x) { return F(log1p)(x); }
PUDLE_DEVICE REAL pudle_cos(REAL x) { return F(cos)(x); }
PUDLE_DEVICE REAL pudle_acos(REAL x) { return F(acos)(x); }
PUDLE_DEVICE REAL pudle_tanh(REAL x) { return F(tanh)(x); }
PUDLE_DEVICE REAL pudle_floor(REAL x) { return F(floor)(x); }
PUDLE_DEVICE REAL pudle_pow(REAL a, REAL b) { return F(pow)(a, b); }
PUDLE_DEVICE REAL pudle_copysign(REAL a, REAL b) { return F(copysign)(a, b); }
PUDLE_DEVICE REAL pudle_max(REAL a, REAL b) { return a > b || a != a ? a : b; }
PUDLE_DEVICE REAL pudle_min(REAL a, REAL b) { return a < b || a != a ? a : b; }
PUDLE_DEVICE REAL pudle_sign(REAL x) { return x > 0 ? (REAL)1 : x < 0 ? (REAL)-1 : x; }
PUDLE_DEVICE REAL pudle_sigmoid(REAL x) { return x < 0 ? pudle_exp(x) / (1 + pudle_exp(x)) : 1 / (1 + pudle_exp(-x)); }
PUDLE_DEVICE REAL pudle_softplus(REAL x) { return pudle_max(x, (REAL)0) + pudle_log1p(pudle_exp(-pudle_abs(x))); }
#define PUDLE_BESIDE_INT(name) \
    PUDLE_DEVICE REAL pudle_##name(int a, REAL b) { return pudle_##name((REAL)a, b); } \
    PUDLE_DEVICE REAL pudle_##name(REAL a, int b) { return pudle_##name(a, (REAL)b); }
PUDLE_BESIDE_INT(pow)
PUDLE_BESIDE_INT(copysign)
PUDLE_BESIDE_INT(max)
PUDLE_BESIDE_INT(min)
#undef PUDLE_BESIDE_INT

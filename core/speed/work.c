/* The work of an update: of the dense network, and what is left of it when zeros are left out. m entries a sample, p a code, n samples,
 * T layers of which K are differentiated. One product with D costs `full` multiplications and additions a sample: m p, or for filters
 * p times the entries of a filter; and `each` of them for every entry of the code: m, or the entries of a filter. */
#include "speed/speed.h"

static double smaller(double a, double b)
{
    return a < b ? a : b;
}

typedef struct sizes { double m, p, n, T, K, weights, own, each, full, s; bool dense, reaches, momentum; } sizes;

/* D z, D'r in every layer and D z_T; then the decoder's outer product and, where layers are differentiated, D'r again and for each of
 * them H D u, D'h and two outer products. */
static double products(const sizes *z, bool gradient)
{
    const double forward = 2 * z->T + 1;
    return gradient ? forward + 1 + (z->reaches ? 1 + 4 * z->K : 0) : forward;
}

/* Entries that the operations of the dense network read and write, counted for each operation. */
static double traffic(const sizes *z, double optimiser)
{
    const double rows = z->n * (z->m + z->p), one = z->weights + rows; /* a product: D, its input, its output */
    const double layer = 2 * one + z->n * z->p + 3 * z->n * z->m + 2 * z->n * z->p; /* v takes z too; inner gradient; prox */
    const double outer = 2 * z->weights + rows;
    const double ahead = z->momentum ? 5 * z->n * z->p : 0; /* two sums of codes */
    double sum = z->T * (layer + ahead) + one + 3 * z->n * z->m + outer + optimiser * z->own;
    if (z->reaches)
        sum += one + z->K * (ahead + 2 * one + z->n * z->p + 3 * z->n * z->p + 5 * z->n * z->m + 2 * outer); /* u too; prox; l' and H */
    return sum;
}

/* With s nonzeros in every code: the decoder, and the cheaper of two ways through the layers. */
static double least(const sizes *z)
{
    const double sparse = z->s * z->each; /* D z, or D'r where z is not 0 */
    const double decoder = (z->reaches ? 3 : 2) * sparse * z->n;
    /* D'r must be known everywhere, to see what becomes nonzero; in the first layer z is 0 */
    const double direct = z->n * (z->full + (z->T - 1) * (sparse + z->full)) + z->n * z->K * 4 * sparse;
    if (!z->dense)
        return 2 * (decoder + direct);
    /* D'D (half of it, being symmetric) and D'x once, then only D'D z; back on the supports alone; the outer products of all layers
     * as D M - x'U with M = sum z u' + u z', or one by one */
    const double pairs = z->s * z->s;
    const double outer = smaller(z->n * z->K * 2 * sparse, z->n * z->K * pairs + z->m * z->p * z->p);
    const double gram = z->m * z->p * z->p / 2 + z->n * z->full + z->n * (z->T - 1) * z->p * z->s + z->n * z->K * smaller(pairs, 2 * sparse) +
                        (z->K > 0 ? outer + z->n * sparse : 0);
    return 2 * (decoder + smaller(direct, gram));
}

/* Arrays of the size of D that the optimiser reads and writes. */
static double optimiser_arrays(const pd_settings *st)
{
    const double step = st->train.optimizer == PD_OPTIMIZER_ADAM ? 7 : 5;
    return step + (pd_keeps_unit_norm(&st->train) ? st->train.tangent ? 8 : 3 : 0);
}

void pd_speed_work_of(const pd_problem *pb, int64_t batch, double nonzeros, pd_speed_work *work)
{
    const pd_map *map = &pb->net.map;
    const pudle_cview w = pudle_const(&pb->net.effective.value), d = pudle_const(&pb->net.dictionary.value); /* in the layers; and what is learned */
    const double width = (double)pudle_dtype_size(pb->dtype);
    sizes z = { .m = (double)map->features, .p = (double)map->code, .n = (double)batch, .T = (double)pb->net.layers, .K = (double)pb->net.depth,
                .weights = (double)pudle_count(&w), .own = (double)pudle_count(&d), .s = nonzeros, .dense = map->matrix, .reaches = pb->net.depth > 0,
                .momentum = pb->net.momentum != NULL };
    z.each = map->matrix ? z.m : z.weights / (double)map->atoms;
    z.full = z.p * z.each;
    const double measuring = pb->net.measurement.data ? 2 * z.m * (double)pudle_count(&d) : 0; /* A D, and A' times the gradient */
    work->forward_flops = 2 * z.n * z.full * products(&z, false); /* A D is there already */
    work->update_flops = 2 * z.n * z.full * products(&z, true) + 2 * measuring;
    work->update_bytes = width * traffic(&z, optimiser_arrays(pb->settings));
    work->least_flops = least(&z) + 2 * measuring;
    work->least_bytes = width * (z.n * z.m + (2 * z.weights + z.own * optimiser_arrays(pb->settings))); /* x and D once, the gradient once */
}

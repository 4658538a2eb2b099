/* The layout of the plugin contract, frozen: sizes, offsets and values as compiled plugins know them (x86-64, LP64).
 *
 * A failure means that plugins in use would break. Structs with a leading `size` may grow at the end, with a new
 * PUDLE_ABI_MINOR: then the size and the new rows are changed here, and no other row. */
#include <pudle/plugin.h>

#include <stdio.h>

typedef struct row {
    const char *what;
    long long actual, frozen;
} row;

#define SIZE(type, value) { "sizeof(" #type ")", (long long)sizeof(type), value }
#define AT(type, member, value) { #type "." #member, (long long)offsetof(type, member), value }
#define IS(name, value) { #name, (long long)(name), value }

static const row rows[] = {
    SIZE(pudle_view, 112),
    AT(pudle_view, data, 0),
    AT(pudle_view, dtype, 8),
    AT(pudle_view, rank, 12),
    AT(pudle_view, shape, 16),
    AT(pudle_view, stride, 64),

    SIZE(pudle_cview, 112),
    AT(pudle_cview, data, 0),
    AT(pudle_cview, dtype, 8),
    AT(pudle_cview, rank, 12),
    AT(pudle_cview, shape, 16),
    AT(pudle_cview, stride, 64),

    SIZE(pudle_host, 56),
    AT(pudle_host, size, 0),
    AT(pudle_host, abi_major, 4),
    AT(pudle_host, abi_minor, 6),
    AT(pudle_host, ctx, 8),
    AT(pudle_host, alloc, 16),
    AT(pudle_host, free, 24),
    AT(pudle_host, log, 32),
    AT(pudle_host, fail, 40),
    AT(pudle_host, get_ext, 48),

    SIZE(pudle_real_list, 16),
    AT(pudle_real_list, item, 0),
    AT(pudle_real_list, count, 8),

    SIZE(pudle_int_list, 16),
    AT(pudle_int_list, item, 0),
    AT(pudle_int_list, count, 8),

    SIZE(pudle_option, 72),
    AT(pudle_option, name, 0),
    AT(pudle_option, type, 8),
    AT(pudle_option, flags, 12),
    AT(pudle_option, offset, 16),
    AT(pudle_option, dflt, 24),
    AT(pudle_option, min, 32),
    AT(pudle_option, max, 40),
    AT(pudle_option, choices, 48),
    AT(pudle_option, unit, 56),
    AT(pudle_option, doc, 64),

    SIZE(pudle_desc, 120),
    AT(pudle_desc, size, 0),
    AT(pudle_desc, kind, 4),
    AT(pudle_desc, name, 8),
    AT(pudle_desc, version, 16),
    AT(pudle_desc, summary, 24),
    AT(pudle_desc, math, 32),
    AT(pudle_desc, cite, 40),
    AT(pudle_desc, license, 48),
    AT(pudle_desc, caps, 56),
    AT(pudle_desc, options, 64),
    AT(pudle_desc, option_size, 72),
    AT(pudle_desc, params_size, 76),
    AT(pudle_desc, check, 80),
    AT(pudle_desc, create, 88),
    AT(pudle_desc, destroy, 96),
    AT(pudle_desc, ops, 104),
    AT(pudle_desc, get_ext, 112),

    SIZE(pudle_instance, 16),
    AT(pudle_instance, desc, 0),
    AT(pudle_instance, self, 8),

    SIZE(pudle_plugin_entry, 24),
    AT(pudle_plugin_entry, magic, 0),
    AT(pudle_plugin_entry, abi_major, 4),
    AT(pudle_plugin_entry, abi_minor, 6),
    AT(pudle_plugin_entry, size, 8),
    AT(pudle_plugin_entry, flags, 12),
    AT(pudle_plugin_entry, plugins, 16),

    SIZE(pudle_prox_kernel, 32),
    AT(pudle_prox_kernel, size, 0),
    AT(pudle_prox_kernel, flags, 4),
    AT(pudle_prox_kernel, target, 8),
    AT(pudle_prox_kernel, apply, 16),
    AT(pudle_prox_kernel, vjp, 24),

    SIZE(pudle_source, 16),
    AT(pudle_source, size, 0),
    AT(pudle_source, levels, 4),
    AT(pudle_source, body, 8),

    SIZE(pudle_prox_ops, 40),
    AT(pudle_prox_ops, size, 0),
    AT(pudle_prox_ops, vjp_needs, 4),
    AT(pudle_prox_ops, kernels, 8),
    AT(pudle_prox_ops, value, 16),
    AT(pudle_prox_ops, dead_zone, 24),
    AT(pudle_prox_ops, source, 32),

    SIZE(pudle_loss_kernel, 64),
    AT(pudle_loss_kernel, size, 0),
    AT(pudle_loss_kernel, flags, 4),
    AT(pudle_loss_kernel, target, 8),
    AT(pudle_loss_kernel, value, 16),
    AT(pudle_loss_kernel, grad, 24),
    AT(pudle_loss_kernel, hvp, 32),
    AT(pudle_loss_kernel, code_value, 40),
    AT(pudle_loss_kernel, code_grad, 48),
    AT(pudle_loss_kernel, mean, 56),

    SIZE(pudle_loss_ops, 56),
    AT(pudle_loss_ops, size, 0),
    AT(pudle_loss_ops, flags, 4),
    AT(pudle_loss_ops, pred_domain, 8),
    AT(pudle_loss_ops, target_domain, 16),
    AT(pudle_loss_ops, kernels, 24),
    AT(pudle_loss_ops, lipschitz, 32),
    AT(pudle_loss_ops, check_target, 40),
    AT(pudle_loss_ops, source, 48),

    SIZE(pudle_data_info, 120),
    AT(pudle_data_info, size, 0),
    AT(pudle_data_info, rank, 4),
    AT(pudle_data_info, samples, 8),
    AT(pudle_data_info, shape, 16),
    AT(pudle_data_info, target_shape, 64),
    AT(pudle_data_info, has_target, 112),

    SIZE(pudle_data_request, 56),
    AT(pudle_data_request, size, 0),
    AT(pudle_data_request, split, 4),
    AT(pudle_data_request, seed, 8),
    AT(pudle_data_request, epoch, 16),
    AT(pudle_data_request, index, 24),
    AT(pudle_data_request, count, 32),
    AT(pudle_data_request, x, 40),
    AT(pudle_data_request, y, 48),

    SIZE(pudle_data_ops, 24),
    AT(pudle_data_ops, size, 0),
    AT(pudle_data_ops, flags, 4),
    AT(pudle_data_ops, describe, 8),
    AT(pudle_data_ops, read, 16),

    SIZE(pudle_data_truth, 32),
    AT(pudle_data_truth, size, 0),
    AT(pudle_data_truth, flags, 4),
    AT(pudle_data_truth, atoms, 8),
    AT(pudle_data_truth, dictionary, 16),
    AT(pudle_data_truth, codes, 24),

    SIZE(pudle_host_arrays, 48),
    AT(pudle_host_arrays, size, 0),
    AT(pudle_host_arrays, flags, 4),
    AT(pudle_host_arrays, open, 8),
    AT(pudle_host_arrays, rank, 16),
    AT(pudle_host_arrays, extent, 24),
    AT(pudle_host_arrays, read_row, 32),
    AT(pudle_host_arrays, close, 40),

    SIZE(pudle_work, 48),
    AT(pudle_work, size, 0),
    AT(pudle_work, dtype, 4),
    AT(pudle_work, samples, 8),
    AT(pudle_work, features, 16),
    AT(pudle_work, code, 24),
    AT(pudle_work, layers, 32),
    AT(pudle_work, whole, 40),

    SIZE(pudle_adam, 48),
    AT(pudle_adam, size, 0),
    AT(pudle_adam, reserved, 4),
    AT(pudle_adam, rate, 8),
    AT(pudle_adam, beta1, 16),
    AT(pudle_adam, beta2, 24),
    AT(pudle_adam, epsilon, 32),
    AT(pudle_adam, update, 40),

    SIZE(pudle_backend_ops, 272),
    AT(pudle_backend_ops, size, 0),
    AT(pudle_backend_ops, flags, 4),
    AT(pudle_backend_ops, targets, 8),
    AT(pudle_backend_ops, open, 16),
    AT(pudle_backend_ops, close, 24),
    AT(pudle_backend_ops, describe, 32),
    AT(pudle_backend_ops, plan, 40),
    AT(pudle_backend_ops, run, 48),
    AT(pudle_backend_ops, sync, 56),
    AT(pudle_backend_ops, alloc, 64),
    AT(pudle_backend_ops, free, 72),
    AT(pudle_backend_ops, upload, 80),
    AT(pudle_backend_ops, download, 88),
    AT(pudle_backend_ops, fill, 96),
    AT(pudle_backend_ops, copy, 104),
    AT(pudle_backend_ops, axpby, 112),
    AT(pudle_backend_ops, sign, 120),
    AT(pudle_backend_ops, dot, 128),
    AT(pudle_backend_ops, census, 136),
    AT(pudle_backend_ops, gemm, 144),
    AT(pudle_backend_ops, normalize, 152),
    AT(pudle_backend_ops, momentum, 160),
    AT(pudle_backend_ops, adam, 168),
    AT(pudle_backend_ops, prox_apply, 176),
    AT(pudle_backend_ops, prox_vjp, 184),
    AT(pudle_backend_ops, loss_value, 192),
    AT(pudle_backend_ops, loss_grad, 200),
    AT(pudle_backend_ops, loss_hvp, 208),
    AT(pudle_backend_ops, code_value, 216),
    AT(pudle_backend_ops, code_grad, 224),
    AT(pudle_backend_ops, get_ext, 232),
    AT(pudle_backend_ops, conv_apply, 240),
    AT(pudle_backend_ops, conv_adjoint, 248),
    AT(pudle_backend_ops, conv_gradient, 256),
    AT(pudle_backend_ops, loss_mean, 264),

    SIZE(pudle_conv, 88),
    AT(pudle_conv, size, 0),
    AT(pudle_conv, atoms, 8),
    AT(pudle_conv, channels, 16),
    AT(pudle_conv, kernel, 24),
    AT(pudle_conv, stride, 40),
    AT(pudle_conv, data, 56),
    AT(pudle_conv, code, 72),

    IS(PUDLE_OK, 0),
    IS(PUDLE_ERR_ARG, -1),
    IS(PUDLE_ERR_NOMEM, -2),
    IS(PUDLE_ERR_UNSUPPORTED, -3),
    IS(PUDLE_ERR_CONFIG, -4),
    IS(PUDLE_ERR_NUMERIC, -5),
    IS(PUDLE_ERR_DEVICE, -6),
    IS(PUDLE_ERR_IO, -7),
    IS(PUDLE_ERR_ABI, -8),
    IS(PUDLE_ERR_NOTFOUND, -9),
    IS(PUDLE_ERR_INTERNAL, -10),
    IS(PUDLE_F32, 1),
    IS(PUDLE_F64, 2),
    IS(PUDLE_MAX_RANK, 6),
    IS(PUDLE_LOG_DEBUG, 0),
    IS(PUDLE_LOG_INFO, 1),
    IS(PUDLE_LOG_WARNING, 2),
    IS(PUDLE_BOOL, 1),
    IS(PUDLE_INT, 2),
    IS(PUDLE_REAL, 3),
    IS(PUDLE_STRING, 4),
    IS(PUDLE_PATH, 5),
    IS(PUDLE_ENUM, 6),
    IS(PUDLE_REAL_LIST, 7),
    IS(PUDLE_INT_LIST, 8),
    IS(PUDLE_TEXT, 9),
    IS(PUDLE_REQUIRED, 1),
    IS(PUDLE_OPEN_MIN, 2),
    IS(PUDLE_OPEN_MAX, 4),
    IS(PUDLE_THRESHOLD, 8),
    IS(PUDLE_PER_STEP, 16),
    IS(PUDLE_DEPRECATED, 32),
    IS(PUDLE_KIND_PROX, 1),
    IS(PUDLE_KIND_LOSS, 2),
    IS(PUDLE_KIND_DATA, 3),
    IS(PUDLE_KIND_BACKEND, 4),
    IS(PUDLE_PROX_CONVEX, 1),
    IS(PUDLE_PROX_SEPARABLE, 2),
    IS(PUDLE_PROX_INPLACE, 4),
    IS(PUDLE_PROX_NONNEG, 8),
    IS(PUDLE_PROX_BATCH_COUPLED, 16),
    IS(PUDLE_VJP_NONE, 0),
    IS(PUDLE_VJP_OUTPUT, 1),
    IS(PUDLE_VJP_INPUT, 2),
    IS(PUDLE_VJP_BOTH, 3),
    IS(PUDLE_LOSS_CONVEX, 1),
    IS(PUDLE_LOSS_QUADRATIC, 2),
    IS(PUDLE_LOSS_SEPARABLE, 4),
    IS(PUDLE_DATA_EPOCH_FREE, 1),
    IS(PUDLE_SPLIT_TRAIN, 0),
    IS(PUDLE_SPLIT_TEST, 1),
    IS(PUDLE_MAGIC, 0x4c445550),
    IS(PUDLE_ABI_MAJOR, 1),
    IS(PUDLE_ABI_MINOR, 1),
};

int main(void)
{
#if defined(__x86_64__) && defined(__LP64__)
    const size_t count = sizeof rows / sizeof *rows;
    int failed = 0;
    for (size_t i = 0; i < count; i++) {
        const int bad = rows[i].actual != rows[i].frozen;
        printf("%sok %zu - %s\n", bad ? "not " : "", i + 1, rows[i].what);
        if (bad)
            printf("# is %lld, frozen at %lld\n", rows[i].actual, rows[i].frozen);
        failed |= bad;
    }
    printf("1..%zu\n", count);
    return failed;
#else
    (void)rows;
    puts("1..0 # SKIP the frozen layout is that of x86-64, LP64");
    return 0;
#endif
}

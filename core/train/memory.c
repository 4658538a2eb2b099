#include "train/memory.h"
#include "graph/lane.h"
#include "train/order.h"
#include <inttypes.h>
#include <sys/resource.h>

static const double MIB = 1048576.0, KIB = 1024.0;

pudle_status pd_memory_plan(pd_problem *pb)
{
    pd_lanes_free(&pb->net); /* what was made without it */
    pb->net.memory = pb->settings->memory;
    return pd_lanes_prepare(&pb->net, pd_batch_size(pb->settings, pb->train.samples), false);
}

void pd_memory_describe(const pd_problem *pb, char *text, size_t size)
{
    const pd_network *net = &pb->net;
    const pd_lane_space *space = &net->space[0];
    char tape[128] = "no layers on a tape";
    if (net->unroll)
        snprintf(tape, sizeof tape, "a tape of the backend's own, which grows with the codes, on top");
    else if (space->windows > 1)
        snprintf(tape, sizeof tape, "%" PRId64 " layers in %" PRId64 " windows, all but the last computed twice", net->depth, space->windows);
    else if (net->depth)
        snprintf(tape, sizeof tape, "%" PRId64 " layers on the tape", net->depth);
    const bool large = net->workspace_bytes >= MIB;
    snprintf(text, size, "%.1f %s for %" PRId64 " lane%s of %" PRId64 " sample%s, %s", net->workspace_bytes / (large ? MIB : KIB), large ? "MiB" : "KiB", net->lanes, net->lanes == 1 ? "" : "s",
             net->rows, net->rows == 1 ? "" : "s", tape);
}

double pd_memory_held(const pd_problem *pb)
{
    return pb->net.workspace_bytes + (pb->net.unroll ? (double)pb->net.unroller->bytes(pb->net.unroll) : 0);
}

double pd_memory_device(const pd_problem *pb)
{
    return PUDLE_HAS(pb->be, pudle_backend_ops, peak) && pb->be->peak ? (double)pb->be->peak(pb->exec) : 0;
}

double pd_memory_peak(void)
{
    struct rusage usage = { 0 };
    getrusage(RUSAGE_SELF, &usage);
    return 1024.0 * (double)usage.ru_maxrss;
}

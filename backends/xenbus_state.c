/* SPDX-License-Identifier: MIT */
#include "backends/xenbus_state.h"

static bool is_shut(enum xenbus_state s)
{
    return s == XenbusStateClosing || s == XenbusStateClosed;
}

/* A device this process has not taken up yet. */
static enum xenbus_action decide_unprobed(const struct xenbus_view *v)
{
    bool begun = v->be >= XenbusStateInitWait && v->be != XenbusStateClosed;

    /* A device written back end first has no front yet; a dead one has none
     * any more, and its toolstack may be waiting for Closed. */
    if (v->fe == XenbusStateUnknown)
        return begun ? XENBUS_FINISH : XENBUS_NONE;
    if (v->probe_failed || (v->be == XenbusStateClosed && !v->online))
        return XENBUS_NONE;
    if (!v->online && is_shut(v->be) && v->fe == XenbusStateClosed)
        return XENBUS_FINISH;
    return XENBUS_PROBE;
}

/* The frontend begins, or begins again (a new kernel, after pvgrub2). */
static enum xenbus_action decide_initialising(const struct xenbus_view *v)
{
    if (!v->online && is_shut(v->be))
        return v->be == XenbusStateClosed ? XENBUS_FINISH : XENBUS_CLOSE;
    if (v->connected || v->be != XenbusStateInitWait)
        return XENBUS_WAIT;
    return XENBUS_NONE;
}

/* The frontend has published its ring. */
static enum xenbus_action decide_ready(const struct xenbus_view *v)
{
    if (v->connected)
        return XENBUS_NONE;
    if (v->be == XenbusStateConnected)
        return v->seen ? XENBUS_CLOSING : XENBUS_ADOPT;
    if (v->be == XenbusStateUnknown || v->be == XenbusStateInitialising)
        return XENBUS_WAIT;
    if (v->failed || v->fe < v->connect_at)
        return XENBUS_NONE;
    /* Shut, and the frontend still Connected: it has yet to notice. But one
     * that is Initialised came back so fast that we missed the rest. */
    if (is_shut(v->be) && (v->fe == XenbusStateConnected || !v->online))
        return XENBUS_NONE;
    return XENBUS_CONNECT;
}

static enum xenbus_action decide_closed(const struct xenbus_view *v)
{
    if (!v->online)
        return XENBUS_FINISH;
    if (v->connected || v->be != XenbusStateClosed)
        return XENBUS_CLOSE;
    return XENBUS_NONE;
}

enum xenbus_action xenbus_decide(const struct xenbus_view *v)
{
    if (!v->probed)
        return decide_unprobed(v);
    switch (v->fe) {
    case XenbusStateUnknown:
        return XENBUS_FINISH;
    case XenbusStateInitialising:
        return decide_initialising(v);
    case XenbusStateInitWait:
        return v->be < XenbusStateInitWait ? XENBUS_WAIT : XENBUS_NONE;
    case XenbusStateInitialised:
    case XenbusStateConnected:
        return decide_ready(v);
    case XenbusStateClosing:
        return is_shut(v->be) ? XENBUS_NONE : XENBUS_CLOSING;
    case XenbusStateClosed:
        return decide_closed(v);
    default:
        return XENBUS_NONE;
    }
}

const char *xenbus_state_name(enum xenbus_state state)
{
    static const char *const names[] = {
        [XenbusStateUnknown] = "Unknown",
        [XenbusStateInitialising] = "Initialising",
        [XenbusStateInitWait] = "InitWait",
        [XenbusStateInitialised] = "Initialised",
        [XenbusStateConnected] = "Connected",
        [XenbusStateClosing] = "Closing",
        [XenbusStateClosed] = "Closed",
        [XenbusStateReconfiguring] = "Reconfiguring",
        [XenbusStateReconfigured] = "Reconfigured",
    };

    if ((unsigned int)state >= sizeof(names) / sizeof(names[0]))
        return "nonsense";
    return names[state];
}

/* pudle/plugin.h - the one header a plugin includes. See the plugin guide for a complete example. */
#ifndef PUDLE_PLUGIN_H
#define PUDLE_PLUGIN_H

#include <pudle/base.h>
#include <pudle/prox.h>
#include <pudle/loss.h>
#include <pudle/data.h>
#include <pudle/backend.h>
#include <pudle/random.h>
#include <pudle/elementwise.h>

#endif

/* A child in a new pid namespace. */
#pragma once

#include "ns.h"

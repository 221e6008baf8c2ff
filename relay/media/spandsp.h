// What is used of libspandsp. Its headers stand alone only in this order.
#pragma once

#include <cstdint>

#include <spandsp/telephony.h>

#include <spandsp/g722.h>
#include <spandsp/gsm0610.h>
#include <spandsp/plc.h>

/* The stand-in has everything in one header. */
#include <criterion/criterion.h>

/* dspack encode and decode: one file that is one stream of a codec. */
#ifndef DSPACK_CONVERT_H
#define DSPACK_CONVERT_H

/* convert_main returns the exit status; argv as main's. */
int convert_main(int argc, char **argv);

#endif

/* dspack verify and extract. */
#ifndef DSPACK_EXTRACT_H
#define DSPACK_EXTRACT_H

/* Both return the exit status; argv[0] is the command's name. */
int verify_main(int argc, char **argv);
int extract_main(int argc, char **argv);

#endif

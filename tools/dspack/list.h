/* dspack list. */
#ifndef DSPACK_LIST_H
#define DSPACK_LIST_H

/* list_main returns the exit status; argv[0] is "list". */
int list_main(int argc, char **argv);

#endif

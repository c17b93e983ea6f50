/* Clients: threads that enqueue and poll, each on a queue of its own, so that what a request costs
 * its sender does not fall to the thread that completes it. */
#ifndef DSBENCH_CLIENTS_H
#define DSBENCH_CLIENTS_H

#include "drive.h"

#define CLIENTS_MAX 16

struct clients;

/* clients_open makes n (1..CLIENTS_MAX) of them, alike to `drive` (filled, not opened), whose depth
 * they share. 0, or -errno after a complaint. */
int clients_open(const struct drive *drive, uint32_t n, struct clients **clients);
void clients_close(struct clients **clients);

/* clients_pass lets them issue up to drive->issue_max requests together, until drive->deadline_ns,
 * waits for all of them, and adds to *measure and *drive->latency_ns. 0, or -errno after a
 * complaint. */
int clients_pass(struct clients *clients, const struct drive *drive, struct measure *measure);

#endif

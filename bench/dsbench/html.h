/* The pieces of an HTML report: one page that loads nothing, with charts as inline SVG. */
#ifndef DSBENCH_HTML_H
#define DSBENCH_HTML_H

#include "records.h"

#include <stdio.h>

/* html_text writes text with what HTML and SVG reserve escaped. */
void html_text(FILE *out, const char *text);

void html_begin(FILE *out, const char *title);
void html_end(FILE *out);

/* Sections: each writes nothing where the records have nothing for it. 0 or -ENOMEM. */
int html_sweeps(FILE *out, const struct records *records);
int html_compares(FILE *out, const struct records *records);
int html_runs(FILE *out, const struct records *records);
void html_frames(FILE *out, const struct records *records);
void html_codecs(FILE *out, const struct records *records);

/* record_is: the command that made it. */
bool record_is(const struct record *record, const char *command);

#endif

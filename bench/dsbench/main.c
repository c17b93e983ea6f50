/* dsbench - measures the engine: alone, verified, and beside other ways to do the same. */
#include "base.h"
#include "commands.h"
#include "report.h"

#include <stdlib.h>

int main(int argc, char **argv)
{
    static int (*const commands[])(const struct options *options) = {
        [COMMAND_DEMO] = command_demo,
        [COMMAND_RUN] = command_run,
        [COMMAND_COMPARE] = command_compare,
        [COMMAND_MARKS] = command_marks,
        [COMMAND_SWEEP] = command_sweep,
        [COMMAND_REPORT] = command_report,
        [COMMAND_DIFF] = command_diff,
        [COMMAND_CODEC] = command_codec,
        [COMMAND_FRAMETIME] = command_frametime,
    };
    struct options options;
    int status = options_parse(argc, argv, &options);

    if (status >= 0)
        return status;
    if (report_json_check(&options) != 0)
        return EXIT_FAILURE;
    interrupts_catch();
    status = commands[options.command](&options);
    return interrupted ? 130 : status;
}

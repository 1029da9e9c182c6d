"""What `ganlab train` is: a file, since the jobs of a sweep, a cluster and Lightning start it by its path. In a folder of its
own, since Python puts that first among the places that it imports from."""

import sys

from ganlab.signals import listen

listen()  # before seconds of importing: a signal then is told in one line, too

from ganlab.run.command_line import trained  # noqa: E402

if __name__ == "__main__":
    sys.exit(trained())

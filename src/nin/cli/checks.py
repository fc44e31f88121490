"""The commands that look before anything is done: `nin data check` and `nin doctor`."""

from nin.cli.command import Command
from nin.cli.exchange import to_json
from nin.cli.parameters import Data, Divide, FollowLinks, Json, Words


def _check(
    path: Data, /, *, divide: Divide = None, follow_links: FollowLinks = False, json: Json = False, screen: Words
) -> int:
    """Look through a data set before training.

    Counts, sizes, unreadable pictures, duplicates, imbalance. Exits with 1 when training would refuse it.
    """
    from nin.commands.check_data import check

    found = check(path, divide=divide, follow_links=follow_links)
    if json:
        screen.result(to_json(found.to_dict()))
    else:
        from nin.cli.printed import check_lines

        screen.result("\n".join(check_lines(found)))
    return 1 if found.refused or found.unreadable else 0


def _doctor(*, json: Json = False, screen: Words) -> None:
    """See whether this machine has what nin needs.

    Interpreter, packages, processor, disk and cache, and what to do about what is missing. Nothing is changed.
    """
    from nin.commands import doctor

    findings = doctor.doctor()
    if json:
        screen.result(to_json(findings))
    else:
        from nin.cli.printed import findings_lines

        screen.result("\n".join(findings_lines(findings)))


DATA_COMMANDS = (
    Command("check", _check, "data check PATH [options]", ("data check photos", "data check labels.csv --json")),
)
COMMANDS = (Command("doctor", _doctor, "doctor [options]", ("doctor", "doctor --json")),)

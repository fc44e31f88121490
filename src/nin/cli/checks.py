"""The commands that check before a training: `nin data check` and `nin doctor`."""

from nin.cli.command import Command
from nin.cli.exchange import to_json
from nin.cli.parameters import Data, Divide, FollowLinks, Json, Output


def _check(
    path: Data, /, *, divide: Divide = None, follow_links: FollowLinks = False, json: Json = False, screen: Output
) -> int:
    """Check a data set before training.

    Finds unreadable pictures, duplicates and imbalance, and counts classes and sizes. Exits with 1 when training would
    refuse the data set.
    """
    from nin.commands.check_data import check

    found = check(path, divide=divide, follow_links=follow_links)
    if json:
        screen.result(to_json(found.to_dict()))
    else:
        from nin.cli.printed import check_lines

        screen.result("\n".join(check_lines(found)))
    return 1 if found.refused or found.unreadable else 0


def _doctor(*, json: Json = False, screen: Output) -> None:
    """Check whether this machine has what nin needs.

    Checks interpreter, packages, processor, disk and cache, and says how to get what is missing. Nothing is changed.
    """
    from nin.commands import doctor

    findings = doctor.doctor()
    if json:
        screen.result(to_json(findings))
    else:
        from nin.cli.printed import findings_lines

        screen.result("\n".join(findings_lines(findings)))


DATA_CHECK = Command(
    "check", _check, "data check PATH [options]", ("data check photos", "data check labels.csv --json")
)
DOCTOR = Command("doctor", _doctor, "doctor [options]", ("doctor", "doctor --json"))

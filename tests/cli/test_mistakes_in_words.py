"""What a mistyped command line answers: the whole output, from the real program, which need not load torch for it."""

import pytest

from nin.bundle.shipped import shipped
from nin.cli.parameters import DATA, FOREIGN

TRAIN = "try: nin train --help"
PREDICT = "try: nin predict --help"
EVALUATE = "try: nin evaluate --help"
MISTAKES = {
    "trian photos": ('nin: nin has no command "trian"; did you mean nin train?', "try: nin --help"),
    "fit photos": ('nin: nin has no command "fit"; did you mean nin train?', "try: nin --help"),
    "check photos": ('nin: nin has no command "check"; did you mean nin data check?', "try: nin --help"),
    "data chekc photos": ('nin: nin data has no command "chekc"; did you mean nin data check?', "try: nin data --help"),
    "trian --help": ('nin: nin has no command "trian"; did you mean nin train?', "try: nin --help"),
    "frobnicate": (
        'nin: nin has no command "frobnicate"; the commands are data, train, teach, evaluate, predict, explain, '
        "explore, publish, summary, import, export, bench, doctor, demo, claims, reproduce, batch, push, pull, serve",
        "try: nin --help",
    ),
    "--epochs 3": ("nin: nin has no option --epochs", "try: nin --help"),
    "train": (f"nin: nin train needs PATH: a{DATA[1:-1]}; or --resume RUN", TRAIN),
    "train photos --epoch 3": ("nin: nin train has no option --epoch; did you mean --epochs?", TRAIN),
    "train photos -epochs 3": ("nin: nin train has no option -epochs; did you mean --epochs?", TRAIN),
    "train photos --batch_sise 3": ("nin: nin train has no option --batch_sise; did you mean --batch-size?", TRAIN),
    "train photos --qqq": ("nin: nin train has no option --qqq", TRAIN),
    "train --data photos": ("nin: nin train has no option --data; did you mean nin train PATH?", TRAIN),
    "predict --model m a.png": (
        "nin: nin predict has no option --model; did you mean nin predict MODEL INPUT...?",
        PREDICT,
    ),
    "train photos --learning-rate 1": ("nin: nin train has no option --learning-rate; did you mean --lr?", TRAIN),
    "train photos --imgsz 64": ("nin: nin train has no option --imgsz; did you mean --size?", TRAIN),
    "train photos imgsz=64": ('nin: options are not written "imgsz=64"; did you mean --size 64?', TRAIN),
    "doctor --data x": ("nin: nin doctor has no option --data", "try: nin doctor --help"),
    "train photos epochs=10": ('nin: options are not written "epochs=10"; did you mean --epochs 10?', TRAIN),
    "train epochs=10": ('nin: options are not written "epochs=10"; did you mean --epochs 10?', TRAIN),
    "train photos batch_size=8": ('nin: options are not written "batch_size=8"; did you mean --batch-size 8?', TRAIN),
    "train photos overwrite=True": ('nin: options are not written "overwrite=True"; did you mean --overwrite?', TRAIN),
    "train data=photos": ('nin: "data=photos" is not a path; did you mean photos?', TRAIN),
    "train photos epochs 10": ('nin: nin train does not know what to do with "epochs"; did you mean --epochs?', TRAIN),
    "train photos more": ('nin: nin train does not know what to do with "more"; it takes one PATH', TRAIN),
    "train photos --epochs ten": ('nin: --epochs is "ten"; expected a whole number', TRAIN),
    "train photos --epochs 1.5": ('nin: --epochs is "1.5"; expected a whole number', TRAIN),
    "train photos --epochs": ("nin: --epochs needs a value: a whole number", TRAIN),
    "train photos --epochs 1 --epochs 2": ("nin: --epochs is given more than once; give it once", TRAIN),
    "train photos --lr fast": ('nin: --lr is "fast"; expected a number', TRAIN),
    "train photos --width nan": ('nin: --width is "nan"; expected a finite number', TRAIN),
    "train photos --fit strech": (
        'nin: --fit is "strech"; expected stretch, pad or crop; did you mean "stretch"?',
        TRAIN,
    ),
    "train photos --skip-unreadable=maybe": ('nin: --skip-unreadable is "maybe"; expected yes or no', TRAIN),
    "train photos --resume runs/photos": (
        "nin: runs/photos is not a run folder; expected the folder of an interrupted nin train",
        TRAIN,
    ),
    "train --resume runs/photos --epochs 3": (
        "nin: --resume runs/photos goes on as the run began; leave out --epochs",
        TRAIN,
    ),
    "convert model.pth": ('nin: nin has no command "convert"; did you mean nin import?', "try: nin --help"),
    "import": (f"nin: nin import needs FILE: {FOREIGN[0].lower()}{FOREIGN[1:-1]}", "try: nin import --help"),
    "import nothere": (
        "nin: nothere does not exist; expected a definition file or a file of weights",
        "try: nin import --help",
    ),
    "import a --size ten": ('nin: --size is "ten"; expected a whole number', "try: nin import --help"),
    "import a --colours brg": (
        'nin: --colours is "brg"; expected rgb or bgr; did you mean "rgb"?',
        "try: nin import --help",
    ),
    "predict": (
        "nin: nin predict needs MODEL: a model folder, the run folder that holds it, an exported .onnx file, or a "
        "model of the package: " + ", ".join(shipped()),
        PREDICT,
    ),
    "predict model": (
        "nin: nin predict needs INPUT: pictures, folders, globs in quotes, or - for standard input",
        PREDICT,
    ),
    "predict model a.png --json --csv": ("nin: --json and --csv cannot go together; choose one", PREDICT),
    "predict model a.png --top 0": ("nin: --top is 0; expected 1 to 1000", PREDICT),
    "explain model": (
        "nin: nin explain needs IMAGE: pictures, folders, globs in quotes, or - for standard input",
        "try: nin explain --help",
    ),
    "evaluate model": (f"nin: nin evaluate needs PATH: a{DATA[1:-1]}", EVALUATE),
    "evaluate model photos --fail-under 90": (
        "nin: --fail-under is 90; expected an accuracy from 0 to 1; did you mean 0.9?",
        EVALUATE,
    ),
    "evaluate model photos --fail-under high": ('nin: --fail-under is "high"; expected a number', EVALUATE),
    "summary --input 3xAxB": (
        'nin: --input is "3xAxB"; expected channels x height x width, such as 3x64x64',
        "try: nin summary --help",
    ),
    "doctor now": (
        'nin: nin doctor does not know what to do with "now"; it takes options only',
        "try: nin doctor --help",
    ),
    "--install-completion --shell tcsh": (
        'nin: --shell is "tcsh"; expected zsh, bash, fish or powershell',
        "try: nin --install-completion --help",
    ),
}


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("train", ""), 'nin: PATH is ""; expected a path'),
        (("train", "photos", "--out="), 'nin: --out is ""; expected a path'),
        (("train", "photos", "--epochs="), 'nin: --epochs is ""; expected a whole number'),
    ],
)
def test_an_unset_variable_is_not_the_present_folder(words, line, nin, photos):
    outcome = nin(*words)
    assert (outcome.code, outcome.out, outcome.err) == (2, "", f"{line}\n{TRAIN}\n")


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_in_words(words, nin):
    outcome = nin(*words.split())
    assert outcome.err.splitlines() == list(MISTAKES[words])
    assert (outcome.code, outcome.out) == (2, "")
    assert nin.left() == []


def test_a_folder_typed_in_place_of_a_command(nin):
    (nin.folder / "photos").mkdir()
    outcome = nin("photos")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == 'nin: nin has no command "photos"; did you mean nin train photos?\ntry: nin --help\n'


def test_a_file_whose_name_looks_like_an_assignment_is_a_file(nin):
    (nin.folder / "epochs=10").write_text("")
    outcome = nin("data", "check", "epochs=10")
    assert "--epochs" not in outcome.err
    assert outcome.code == 1


def test_a_wrong_environment_variable_is_named(nin):
    outcome = nin("train", "photos", NIN_TRAIN_EPOCHS="ten")
    assert outcome.err == f'nin: NIN_TRAIN_EPOCHS is "ten"; expected a whole number\n{TRAIN}\n'
    assert (outcome.code, outcome.out) == (2, "")


def test_an_unknown_environment_variable_is_told(nin):
    outcome = nin("predict", "model", NIN_PREDICT_TOPP="3", NIN_PREDICT_TOP="2")
    warning, *rest = outcome.err.splitlines()
    assert warning == "warning: NIN_PREDICT_TOPP is set, but nin predict has no such option"
    assert rest == list(MISTAKES["predict model"])


def test_control_characters_in_words_do_not_reach_the_terminal(nin):
    outcome = nin("train", "photos", "\x1b[31mred\n")
    assert (
        outcome.err == f'nin: nin train does not know what to do with "\\x1b[31mred\\n"; it takes one PATH\n{TRAIN}\n'
    )


def test_a_tilde_that_no_shell_expanded_is_the_home(nin, photos):
    full = nin.folder.parent / f"{nin.folder.name}-home" / "full"
    full.mkdir(parents=True)
    (full / "mine.txt").write_text("mine")
    outcome = nin("train", "photos", "--out=~/full")
    assert (
        outcome.err.splitlines()[0] == f"nin: {full} is not empty; choose another --out, or replace it with --overwrite"
    )
    assert not (nin.folder / "~").exists()


def test_debug_shows_where_before_the_line(nin):
    lines = nin("train", "--debug").err.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-2:] == list(MISTAKES["train"])


def test_errors_are_red_only_where_colours_are(nin):
    assert nin("trian", FORCE_COLOR="1").err.startswith("\x1b[1;31mnin:\x1b[0m nin has no")

"""A listener of a run that remembers what it is told and may ask the run to stop."""

from nin.run.options import Listener


class Told(Listener):
    """Remembers notes, pictures loaded and steps; asks to stop after so many steps."""

    def __init__(self, steps: int = 10**9) -> None:
        self.notes: list[str] = []
        self.loaded: list[tuple[int, int]] = []
        self.steps: list[int] = []
        self.left = steps

    def note(self, text: str) -> None:
        self.notes.append(text)

    def loading(self, done: int, total: int) -> None:
        self.loaded.append((done, total))

    def step(self, progress) -> None:
        self.steps.append(progress.step)
        self.left -= 1

    def should_stop(self) -> bool:
        return self.left <= 0

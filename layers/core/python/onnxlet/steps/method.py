"""Method: an output of the graph that is served as it is, and gives what a method of the model's own gives."""

from __future__ import annotations

from onnxlet.steps.base import Specs, Step, spec_named


class Method(Step, frozen=True, tag="method"):
    """A method of the model by `name`, `decision_function` say, and the `output` of the graph that gives the same.

    It is served beside what other steps make, and costs a request nothing.
    """

    name: str
    output: str

    def methods(self) -> dict[str, str]:
        """This one."""
        return {self.name: self.output}

    def reads(self) -> tuple[str, ...]:
        """The output."""
        return (self.output,)

    def outputs(self, given: Specs) -> Specs:
        """The output, as the graph gives it."""
        return (spec_named(self.output, given),)

# SPDX-License-Identifier: BSD-2-Clause
"""Draws overview.svg: who runs on whom, and at which privilege of the CPU. ./orchestrate lint --fix writes it anew."""

from __future__ import annotations

import drawsvg

WIDTH, HEIGHT = 860, 508
# Left edge and width of the column of boxes; what stands right of it explains.
LEFT, COLUMN, NOTES = 130, 470, 622
STYLE = """
text { font-family: system-ui, sans-serif; font-size: 14px; fill: #1f2328; }
.small { font-size: 12px; fill: #59636e; }
.name { font-weight: 600; }
.page { fill: #ffffff; stroke: #d1d9e0; }
.guest { fill: #ddf4ff; stroke: #54aeff; }
.server { fill: #dafbe1; stroke: #4ac26b; }
.kernel { fill: #ffebe9; stroke: #ff8182; }
.machine { fill: #f6f8fa; stroke: #afb8c1; }
.border { stroke: #59636e; stroke-dasharray: 6 4; }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc; }
  .small { fill: #9198a1; }
  .page { fill: #0d1117; stroke: #3d444d; }
  .guest { fill: #121d2f; stroke: #388bfd; }
  .server { fill: #12261e; stroke: #2ea043; }
  .kernel { fill: #25171c; stroke: #f85149; }
  .machine { fill: #151b23; stroke: #656c76; }
  .border { stroke: #9198a1; }
}
"""


def box(drawing: drawsvg.Drawing, kind: str, left: float, top: float, width: float, height: float,
        *lines: str) -> None:
    """Draw a box with lines of text in its middle; the first one is its name."""
    drawing.append(drawsvg.Rectangle(left, top, width, height, rx=6, class_=kind))
    first = top + height / 2 + 5 - 9 * (len(lines) - 1)
    for at, line in enumerate(lines):
        drawing.append(drawsvg.Text(line, 12 if at else 14, left + width / 2, first + 18 * at, text_anchor="middle",
                                    class_="small" if at else "name"))


def note(drawing: drawsvg.Drawing, top: float, *lines: str) -> None:
    """Write an explanation beside the boxes."""
    for at, line in enumerate(lines):
        drawing.append(drawsvg.Text(line, 12, NOTES, top + 17 * at, class_="small"))


def overview() -> drawsvg.Drawing:
    """Draw the layers from the programs down to the machine."""
    drawing = drawsvg.Drawing(WIDTH, HEIGHT, id_prefix="overview")
    drawing.append_css(STYLE)
    drawing.append_title("Debian programs on Linux on Quoll: only the microkernel is privileged")
    drawing.append(drawsvg.Rectangle(0.5, 0.5, WIDTH - 1, HEIGHT - 1, rx=8, class_="page"))
    third = (COLUMN - 20) / 3
    for at, name in enumerate(("shell", "gzip", "iperf3")):
        box(drawing, "guest", LEFT + at * (third + 10), 20, third, 48, name)
    note(drawing, 38, "Programs of Debian, unmodified:", "each in an address space of its own")
    box(drawing, "guest", LEFT, 80, COLUMN, 76, "Linux 6.12", "a port (arch/l4) that runs without privilege:",
        "to Quoll it is one program like the others")
    note(drawing, 104, "Quoll hands system calls and", "page faults of the programs to Linux,", "which answers them")
    quarter = (COLUMN - 30) / 4
    for at, (name, what) in enumerate((("console", "serial line"), ("block", "disk"), ("net", "network card"),
                                       ("root pager", "memory, restarts"))):
        box(drawing, "server", LEFT + at * (quarter + 10), 168, quarter, 76, name, what)
    note(drawing, 192, "Drivers are programs, too. One that", "crashes is started anew, and Linux", "goes on")
    drawing.append(drawsvg.Line(20, 268, WIDTH - 20, 268, class_="border"))
    box(drawing, "kernel", LEFT, 292, COLUMN, 92, "Quoll, the L4 microkernel",
        "messages, capabilities, address spaces, scheduling,", "virtual CPUs for guest kernels")
    note(drawing, 322, "The only code with privilege:", "7,000 to 7,700 lines without comments",
         "for each architecture")
    box(drawing, "machine", LEFT, 404, COLUMN, 76, "x86_64, riscv64 or aarch64", "emulated by QEMU")
    for top, lines in ((136, ("user mode", "of the CPU")), (332, ("privileged", "mode"))):
        for at, line in enumerate(lines):
            drawing.append(drawsvg.Text(line, 14, 24, top + 18 * at, class_="name"))
    return drawing


if __name__ == "__main__":
    print(overview().as_svg())

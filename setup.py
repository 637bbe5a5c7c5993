"""What pyproject.toml cannot say: the C extension, which is optional. All else is there."""

from __future__ import annotations

from glob import glob

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

SLOWER = """\
haydi: the extension haydi.symmetry._kernel could not be built ({error}).
haydi: Haydi is complete without it, but its search for canonical forms takes some 20 times as long. To have it,
haydi: install a C compiler and the headers of this Python (Debian: gcc, python3-dev), then install Haydi again.
"""


class BuildOptional(build_ext):  # type: ignore[misc] # setuptools ships no types
    """Says what is slower where the extension cannot be built."""

    def build_extension(self, ext: Extension) -> None:
        try:
            super().build_extension(ext)
        except Exception as error:
            print(SLOWER.format(error=error))
            raise


kernel = Extension(
    "haydi.symmetry._kernel",
    sources=sorted(glob("haydi/symmetry/csrc/*.c")),
    depends=sorted(glob("haydi/symmetry/csrc/*.h")),
    extra_compile_args=["-O3"],
    optional=True,
)

setup(ext_modules=[kernel], cmdclass={"build_ext": BuildOptional})

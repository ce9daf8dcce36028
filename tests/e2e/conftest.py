"""All end-to-end tests share one mesh: imported here once, since each import makes a fixture of its own."""

from __future__ import annotations

from tests.fix_mesh import mesh, sandbox_of_mesh

__all__ = ["mesh", "sandbox_of_mesh"]

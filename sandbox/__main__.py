"""`python -m sandbox`: the sandbox alone, configured by the environment."""

from __future__ import annotations

from core.settings import Settings
from sandbox.serve import serve

if __name__ == "__main__":
    serve(Settings())

"""The command line: COMMANDS, and the group that imports a command when it is typed.

click's own group loads every command to print its help line; this one prints from the table, so ``agentgauge --help``
loads none of them.
"""

from __future__ import annotations

import sys
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import version

import click

from agentgauge.errors import AgentgaugeError, NotInstalled

COMMANDS: dict[str, tuple[str, str]] = {
    "buckets": ("agentgauge.cli.buckets", "Compute bucket bounds that fit what was observed."),
    "config": ("agentgauge.cli.config", "Print every setting with its value and where it came from."),
    "db": ("agentgauge.cli.db", "Look a data file over, check it, make it smaller, copy it."),
    "demo": ("agentgauge.cli.demo", "Show small real agents at work on a simulated model."),
    "doctor": ("agentgauge.cli.doctor", "Find what is wrong with the monitoring, and say what mends it."),
    "export": ("agentgauge.cli.export", "Write what a data file holds for other systems."),
    "import": ("agentgauge.cli.import_", "Bring history from other systems into a data file."),
    "query": ("agentgauge.cli.query", "Answer PromQL from a server, a file or any Prometheus-compatible URL."),
    "serve": ("agentgauge.cli.serve", "Scrape agents, store and answer: the page, the HTTP API."),
    "simulate": ("agentgauge.cli.simulate", "Be an Ollama server without a model, for tests and demos."),
    "why": ("agentgauge.cli.why", "Say where the time of tasks goes and what making a part faster would save."),
}
"""Name to module and help line; the module has ``command``, a ``click.Command``."""


class _Commands(click.Group):
    """Lists from COMMANDS; imports one command when it is asked for by name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in alphabetical order."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command of that name."""
        row = COMMANDS.get(cmd_name)
        if row is None:
            return None
        try:
            module = import_module(row[0])
        except ModuleNotFoundError as error:
            if error.name is None or error.name.partition(".")[0] == "agentgauge":
                raise
            message = f"{error.name} is not installed; run: pip install 'agentgauge[server]'"
            raise NotInstalled(error.name, message) from None
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is typed; name the one that was meant."""
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            close = get_close_matches(args[0], COMMANDS, 1)
            ctx.fail(f"No such command {args[0]!r}.{f' Did you mean {close[0]!r}?' if close else ''}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Print the table of commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(version("agentgauge"), prog_name="agentgauge")
def group() -> None:
    """See what LLM agents do: record, scrape, store, ask."""


def run(arguments: list[str] | None = None) -> int:
    """Run a command line; print a failure as one message and return the exit status."""
    try:
        status = group.main(args=arguments, prog_name="agentgauge", standalone_mode=False)
    except click.exceptions.Abort:
        return 130
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except AgentgaugeError as error:
        print(f"agentgauge: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader of our output went away (`| head`): its right. Python would complain again at exit.
        sys.stderr.close()
        return 141
    return status if isinstance(status, int) else 0

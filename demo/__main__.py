"""The command line of the demo. It stops every process that it has started."""

from __future__ import annotations

import signal
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from demo.scene import HOME, PROJECT, BrokerChoice, Dag, Scene
from demo.show import Show
from demo.steps import Steps
from demo.three_patterns import ThreePatterns
from kafka_bridge.protocol.errors import KafkaBridgeError

SHOWS: dict[Dag, type[Show | ThreePatterns]] = {
    Dag.AUDIT_FILES: Show,
    Dag.THREE_PATTERNS: ThreePatterns,
}


def main(
    broker: Annotated[
        BrokerChoice,
        typer.Option(help="embedded needs nothing installed; kafka is a real Apache Kafka."),
    ] = BrokerChoice.EMBEDDED,
    dag: Annotated[Dag, typer.Option(help="Which DAG to run.")] = Dag.AUDIT_FILES,
    keep: Annotated[bool, typer.Option(help="Start the board, too, and keep all running.")] = False,
) -> None:
    """Run a DAG from start to end."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    # On a terminal, long lines are wrapped between words; in a file or a pipe they are not.
    console = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
    try:
        steps = Steps(console)
        with Scene(broker, dag, steps) as scene:
            SHOWS[dag](scene, steps).run()
            if keep:
                scene.keep()
    except KeyboardInterrupt:
        console.print("\nStopped. Nothing is left running.")
        sys.exit(130)
    except (KafkaBridgeError, OSError) as error:
        console.print(f"\n[bold red]The demo failed:[/] {escape(_words(error))}")
        console.print(f"Everything is stopped. The logs are in {HOME.relative_to(PROJECT)}.")
        sys.exit(1)
    console.print("\n[bold green]Done.[/] Everything that was started is stopped.")
    if not keep:
        which = "" if dag is Dag.AUDIT_FILES else f" DAG={dag.value}"
        console.print(f"To look around in Airflow and the board: [bold]make demo{which} KEEP=1[/]")


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)


if __name__ == "__main__":
    typer.run(main)

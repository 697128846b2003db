"""``agentgauge serve``: scrape, store, answer, show."""

from __future__ import annotations

import os
from pathlib import Path

import click
from click.core import ParameterSource

from agentgauge.cli.configured import Configured
from agentgauge.model.discovery import DIRECTORY_VARIABLE, discovery_directory
from agentgauge.promql.features import FEATURES, switched_on
from agentgauge.record.settings import load_settings
from agentgauge.scrape.relabel import rules_from_file
from agentgauge.server.config import (
    DEFAULT_LISTEN,
    Config,
    checked_interval_s,
    default_db,
    parse_duration_ms,
    parse_listen,
    parse_size_bytes,
    split_list,
)
from agentgauge.server.remote_write import destinations_from_urls
from agentgauge.server.run import serve


@click.command(cls=Configured, context_settings={"auto_envvar_prefix": "AGENTGAUGE"})
@click.option("--listen", default=DEFAULT_LISTEN, show_default=True, metavar="HOST:PORT", help="Where to answer.")
@click.option("--target", "targets", multiple=True, metavar="HOST:PORT", help="Scrape this too; repeatable, or a URL.")
@click.option("--target-file", "target_files", multiple=True, metavar="GLOB", help="file_sd JSON; repeatable.")
@click.option(
    "--relabel",
    type=click.Path(dir_okay=False),
    default="",
    metavar="FILE",
    help="TOML rules that choose and label targets.",
)
@click.option("--honor-labels", is_flag=True, help="A series' own job and instance win over its target's.")
@click.option("--discovery/--no-discovery", default=True, help="Find local agents by themselves.  [default: on]")
@click.option("--interval", default="5s", show_default=True, metavar="DURATION", help="Between two scrapes.")
@click.option("--db", type=click.Path(dir_okay=False, path_type=Path), help="Data file; default: in the data folder.")
@click.option("--memory", is_flag=True, help="Keep data in memory only.")
@click.option(
    "--retention", default="15d", show_default=True, metavar="DURATION", help="Keep data this long before the newest."
)
@click.option("--retention-size", default="0", metavar="SIZE", help="Keep at most this much, for example 2GB.")
@click.option("--remote-write", multiple=True, metavar="URL", help="Send all that is stored there too; repeatable.")
@click.option(
    "--remote-write-queue", default="1GB", show_default=True, metavar="SIZE", help="Keep at most this much unsent."
)
@click.option("--query-timeout", default="2m", show_default=True, metavar="DURATION", help="A query's time.")
@click.option("--query-concurrency", default=4, show_default=True, type=click.IntRange(1, 64), help="Queries at once.")
@click.option(
    "--enable-feature",
    "enable_feature",
    multiple=True,
    metavar="NAME",
    help=f"Switch on experimental PromQL; repeatable: {', '.join(sorted(FEATURES))}.",
)
@click.option("--allow-host", "hosts", multiple=True, metavar="NAME", help="Answer under this name too; * for any.")
@click.option("--allow-origin", "origins", multiple=True, metavar="URL", help="Let pages from there ask (CORS).")
@click.option(
    "--self-scrape/--no-self-scrape",
    default=None,
    help="Scrape the server's own metrics.  [default: on, when there is anything else to scrape]",
)
@click.pass_context
def command(
    context: click.Context,
    listen: str,
    targets: tuple[str, ...],
    target_files: tuple[str, ...],
    relabel: str,
    honor_labels: bool,
    discovery: bool,
    interval: str,
    db: Path | None,
    memory: bool,
    retention: str,
    retention_size: str,
    remote_write: tuple[str, ...],
    remote_write_queue: str,
    query_timeout: str,
    query_concurrency: int,
    enable_feature: tuple[str, ...],
    hosts: tuple[str, ...],
    origins: tuple[str, ...],
    self_scrape: bool | None,
) -> int:
    """Scrape agents, store what they say and answer: the page and the Prometheus HTTP API.

    Every local process that records with agentgauge is found without configuration. With --no-discovery and no target
    it serves just what the data file holds, and deletes nothing for its age unless --retention is given. Every option
    can stand in the environment as AGENTGAUGE_<OPTION>, for example AGENTGAUGE_LISTEN, and in agentgauge.toml or
    pyproject.toml: `agentgauge config` prints each value with its source.
    """
    host, port = parse_listen(listen)
    destinations_from_urls(remote_write)
    if memory and db is not None:
        raise click.UsageError("--memory and --db exclude each other")
    features = split_list(enable_feature)
    switched_on(features)
    interval_s = checked_interval_s(interval)
    retention_ms = parse_duration_ms(retention, "--retention")
    scrapes = discovery or bool(targets or target_files)
    if not scrapes and context.get_parameter_source("retention") is ParameterSource.DEFAULT:
        retention_ms = 0  # an archive is looked at, not aged out
    config = Config(
        host=host,
        port=port,
        db=None if memory else db or default_db(os.environ),
        targets=split_list(targets),
        target_files=split_list(target_files),
        discovery_directory=discovery_directory(_environ(), os.getuid()) if discovery else "",
        rules=rules_from_file(relabel),
        honor_labels=honor_labels,
        interval_s=interval_s,
        scrape_timeout_s=min(interval_s, 10.0),
        retention_ms=retention_ms,
        retention_bytes=parse_size_bytes(retention_size, "--retention-size"),
        remote_write=remote_write,
        remote_write_queue_bytes=parse_size_bytes(remote_write_queue, "--remote-write-queue"),
        max_concurrency=query_concurrency,
        query_timeout_s=parse_duration_ms(query_timeout, "--query-timeout") / 1000,
        features=features,
        allowed_hosts=split_list(hosts),
        allowed_origins=split_list(origins),
        self_scrape=scrapes if self_scrape is None else self_scrape,
    )
    return serve(config)


def _environ() -> dict[str, str]:
    """Return the environment, with a discovery folder that only a file of settings names."""
    return {**os.environ, DIRECTORY_VARIABLE: load_settings()["discovery_dir"]}

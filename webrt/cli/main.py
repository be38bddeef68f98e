"""The `webrt` command: arguments in, one line of error or a result out."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from webrt import __version__
from webrt.cli import ops, output, records
from webrt.errors import UsageError, WebrtError

app = typer.Typer(
    name="webrt",
    help="Pack ONNX models into static files and run them in any browser, or natively.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

app.add_typer(records.app, name="records")
app.command("ops")(ops.ops_command)

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="A pack, made by `webrt pack`.")]
Model = Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="The ONNX model.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
DeviceName = Annotated[
    str,
    typer.Option(
        help="auto: a GPU if there is one, else the CPU (wasm). webgpu may be a software adapter.",
        metavar="auto|webgpu|wasm",
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(help="Threads of the wasm device; one a core if not given.", min=1, metavar="N"),
]
Inputs = Annotated[
    list[str] | None, typer.Option("--input", metavar="NAME=FILE.npy", help="An input's value.")
]
Dims = Annotated[
    list[str] | None,
    typer.Option("--dim", metavar="SYMBOL=INT", help="A dynamic dim; 1 or 128 if not given."),
]


@app.command("pack")
def pack_command(
    model: Model,
    out: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR|NAME.webrt", help="What to write.")
    ],
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse what can't run on a device.")
    ] = False,
    dump_after: Annotated[
        str | None,
        typer.Option(metavar="PASS", help="Print the IR after this pass to standard error."),
    ] = None,
    tuned: Annotated[
        str | None,
        typer.Option("--records", metavar="FILE|URL", help="Tuning records that travel along."),
    ] = None,
    check_inputs: Annotated[
        int,
        typer.Option(metavar="N", help="Ship N inputs with ONNX Runtime's outputs, for `verify`."),
    ] = 0,
    dim: Annotated[
        list[str] | None,
        typer.Option("--dim", metavar="SYMBOL=INT", help="A dynamic dim of --check-inputs."),
    ] = None,
    json: Json = False,
) -> None:
    """Pack a model: plan, kernels and weights as static files."""
    from webrt.cli import commands

    with output.progress() as report:
        checks = (check_inputs, dim or [])
        result = commands.pack(model, out, strict, dump_after, tuned, checks, report)
    _show(json, result, _pack_text)


@app.command("info")
def info_command(
    folder: Folder,
    kernel: Annotated[
        str | None, typer.Option(metavar="ID", help="Show this kernel: its name or number.")
    ] = None,
    space: Annotated[
        bool,
        typer.Option("--space", help="Show what tuning would try on a device, and what not."),
    ] = False,
    device: DeviceName = "auto",
    dim: Dims = None,
    json: Json = False,
) -> None:
    """Show a pack's inputs, outputs and plan, one of its kernels, or what tuning would try."""
    from webrt.cli import info

    if space:
        from webrt.cli import space as spaces

        result = spaces.describe_space(folder, kernel, device, dim or [], info.find_kernel)
        _show(json, result, spaces.space_text)
    elif kernel is None:
        _show(json, info.describe_pack(folder), info.pack_text)
    else:
        _show(json, info.describe_kernel(folder, kernel), info.kernel_text)


@app.command("run")
def run_command(
    folder: Folder,
    input: Inputs = None,
    output_file: Annotated[
        Path | None, typer.Option("--output", metavar="FILE.npz", help="Where outputs go.")
    ] = None,
    device: DeviceName = "auto",
    threads: Threads = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Tell where it runs and why, memory and kernels.")
    ] = False,
    json: Json = False,
) -> None:
    """Run a pack once on inputs from files."""
    from webrt.cli import commands

    with output.progress() as report:
        place = (device, threads)
        result = commands.run(folder, input or [], output_file, place, explain, report)
    _show(json, result, _run_text)


@app.command("check")
def check_command(
    folder: Folder,
    model: Model,
    device: DeviceName = "auto",
    threads: Threads = None,
    dim: Dims = None,
    seed: Annotated[int, typer.Option(help="Of the random inputs.", min=0)] = 0,
    input: Inputs = None,
    json: Json = False,
) -> None:
    """Compare a pack with ONNX Runtime on CPU; exit 1 where they differ."""
    from webrt.cli import commands

    with output.progress() as report:
        result = commands.check(
            folder, model, (device, threads), dim or [], seed, input or [], report
        )
    _show(json, result, _check_text)
    if not result["ok"]:
        raise typer.Exit(1)


@app.command("verify")
def verify_command(
    folder: Folder,
    device: DeviceName = "auto",
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Run a pack's own check vectors on this device; exit 1, and name the node, where one fails."""
    from webrt.cli import insight

    with output.progress() as report:
        result = insight.verify(folder, (device, threads), report)
    _show(json, result, insight.verify_text)
    if not result["ok"]:
        raise typer.Exit(1)


@app.command("bench")
def bench_command(
    folder: Folder,
    device: DeviceName = "auto",
    threads: Threads = None,
    dim: Dims = None,
    runs: Annotated[int, typer.Option(help="Runs after the first.")] = 10,
    kernels: Annotated[bool, typer.Option("--kernels", help="Time every kernel too.")] = False,
    page: Annotated[
        Path | None,
        typer.Option("--report", metavar="FILE.html", help="Draw it all on one page."),
    ] = None,
    trace: Annotated[
        Path | None,
        typer.Option(metavar="FILE.json", help="For chrome://tracing and Perfetto."),
    ] = None,
    json: Json = False,
) -> None:
    """Time loading, the first run and the following ones."""
    from webrt.cli import commands

    with output.progress() as report:
        place = (device, threads)
        result = commands.bench(folder, place, dim or [], runs, kernels, page, trace, report)
    _show(json, result, _bench_text)


@app.command("tune")
def tune_command(
    folder: Folder,
    device: DeviceName = "auto",
    threads: Threads = None,
    budget: Annotated[float, typer.Option(metavar="SECONDS", help="How long to try.")] = 30.0,
    dim: Dims = None,
    json: Json = False,
) -> None:
    """Find faster kernels for a pack on this device, and remember them."""
    from webrt.cli import tuning

    with tuning.live_view() as show:
        result = tuning.tune(folder, device, threads, budget, dim or [], show)
    _show(json, result, tuning.tune_text)


@app.command("serve")
def serve_command(
    folder: Annotated[
        Path | None, typer.Argument(help="A pack's folder; with --gallery, where the site is kept.")
    ] = None,
    gallery: Annotated[
        bool, typer.Option("--gallery", help="The demo gallery: four models, 250 MB to download.")
    ] = False,
    port: Annotated[int, typer.Option(help="0 picks a free one.", min=0, max=65535)] = 8000,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    isolation: Annotated[
        bool, typer.Option(help="Send the headers without which a page has one wasm thread.")
    ] = True,
    pyodide: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Pyodide (npm's package): the demo page can tune then."),
    ] = None,
    json: Json = False,
) -> None:
    """Serve a demo page for a pack, or the demo gallery; stop it with Ctrl-C."""
    from webrt.cli.serve import Server, Site, gallery_site, tuning_folder

    if folder is None and not gallery:
        raise UsageError("serve takes the folder of a pack, or --gallery")
    with tuning_folder(pyodide) as tuning:
        if gallery:
            with output.progress() as report:
                folder, site = gallery_site(folder, report)
            server = Server(site, host, port, isolation)
        else:
            assert folder is not None
            server = Server(Site(folder, tuning=tuning), host, port, isolation)
        with server:
            _show(json, {"url": server.url}, lambda r: f"{folder} at {r['url']}  (Ctrl-C stops it)")
            sys.stdout.flush()
            server.serve_forever()


@app.command("export")
def export_command(
    folder: Folder,
    out: Annotated[Path, typer.Option("-o", "--out", help="The site's folder.")],
    pyodide: Annotated[
        str | None,
        typer.Option(metavar="DIR|URL", help="Pyodide, for tuning in the page: copied, or named."),
    ] = None,
    wheel: Annotated[bool, typer.Option(help="webrt's wheel too, for Python in the page.")] = False,
    json: Json = False,
) -> None:
    """Write a self-hosted site of a pack: player, demo page, hashes; any static host serves it."""
    from webrt.cli.export import export, export_text

    _show(json, export(folder, out, pyodide, wheel), export_text)


def _version(value: bool) -> None:
    if value:
        print(f"webrt {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    output.set_up_logging()


def _show(json: bool, result: dict[str, Any], text: Callable[[dict[str, Any]], str]) -> None:
    if json:
        output.print_json(result)
    else:
        print(text(result))


def _pack_text(result: dict[str, Any]) -> str:
    named = [
        f"\n  {output.labels_text(name, labels['texts'], labels['columns'])}"
        for name, labels in result["labels"].items()
    ]
    return "".join([_packed_text(result), *named])


def _packed_text(result: dict[str, Any]) -> str:
    return (
        f"{result['path']}: {result['dispatches']} dispatches,{output.host_text(result)}"
        f" {output.weights_text(result)},{output.narrowed_text(result)}"
        f" {result['peak_bytes']:,} bytes of activations"
        f" (at least {result['peak_lower_bound_bytes']:,}){output.at_text(result['at'])},"
        f" {result['seconds']:.1f} s"
    )


def _device_text(result: dict[str, Any]) -> str:
    mode = result["float16"]
    return str(result["adapter"]) + (f", float16 {mode}" if mode else "")


def _run_text(result: dict[str, Any]) -> str:
    lines = [f"on {_device_text(result)} in {result['ms']:.1f} ms"]
    lines += [
        f"  {o['name']}: {o['dtype']} [{', '.join(map(str, o['shape']))}]"
        for o in result["outputs"]
    ]
    lines += [f"written to {result['file']}"] if result["file"] else []
    return "\n".join(lines + ([result["explain"]["text"]] if "explain" in result else []))


def _check_text(result: dict[str, Any]) -> str:
    at = output.at_text(result["dims"])
    lines = [f"{'ok' if result['ok'] else 'NOT OK'} on {_device_text(result)}{at}"]
    for name, part in result["outputs"].items():
        lines.append(
            f"  {name}: max |diff| {part['max_abs']:.3g}, relative {part['max_rel']:.3g},"
            f" cosine {part['cosine']:.7f}{'' if part['ok'] else '  WRONG'}"
        )
        if apart := result["oracle_spread"].get(name):
            lines.append(
                f"    quantised: ONNX Runtime is {apart['max_abs']:.3g} from itself"
                f" once floats differ in a last bit, cosine {apart['cosine']:.7f}"
            )
    wrong = result.get("first_divergence")
    if wrong:
        lines.append(f"first wrong node: {wrong['node']} (step {wrong['step']})")
    return "\n".join(lines)


def _bench_text(result: dict[str, Any]) -> str:
    at = output.at_text(result["dims"])
    return (
        f"{_device_text(result)}{at}: load {result['load_ms']:.0f} ms,"
        f" first run {result['first_run_ms']:.1f} ms, median {result['median_ms']:.1f} ms,"
        f" 90th percentile {result['p90_ms']:.1f} ms over {result['runs']} runs"
        + "".join(f"\n{line}" for line in _kernel_lines(result.get("kernels", [])))
        + "".join(f"\nwritten to {result[k]}" for k in ("report", "trace") if k in result)
    )


def _kernel_lines(kernels: list[dict[str, Any]]) -> list[str]:
    width = max((len(k["name"]) for k in kernels), default=0)
    lines = [f"{'kernel':<{width}}  dispatches   ms each        ms   share   GFLOP/s      GB/s"]
    for k in kernels:
        total = k["count"] * k["ms"]
        lines.append(
            f"{k['name']:<{width}}  {k['count']:>10}  {k['ms']:>8.3f}  {total:>8.2f}"
            f"  {100 * k['share']:>4.1f} %  {k['gflops']:>8.2f}  {k['gbs']:>8.2f}"
        )
    return lines if kernels else []


def main() -> None:
    """Run the command; exits 2 after an error, with one line on standard error."""
    sys.exit(run_app(sys.argv[1:]))


def run_app(arguments: list[str]) -> int:
    """The exit status of the command: 0, 1 for a check that fails, 2 for an error."""
    try:
        status = app(arguments, prog_name="webrt", standalone_mode=False)
        return status if isinstance(status, int) else 0
    except WebrtError as error:
        output.print_error(str(error))
    except KeyboardInterrupt:
        return 0 if "serve" in arguments else 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or the interpreter's exit complains
        return 141
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        output.print_error(f"{place}{error.strerror or error}")
    except Exception as error:  # a traceback is a bug, so is an error of no type of ours
        if type(error).__name__ == "NoArgsIsHelpError":
            print(error, file=sys.stderr)
            return 2
        if hasattr(error, "format_message"):  # typer's and click's usage errors
            output.print_error(error.format_message())
            return 2
        if type(error).__name__ == "Abort":
            return 130
        if os.environ.get("WEBRT_TRACEBACK"):
            traceback.print_exc()
        output.print_error(
            f"internal error: {type(error).__name__}: {error};"
            " please report it with the output under WEBRT_TRACEBACK=1"
        )
    return 2


if __name__ == "__main__":
    main()

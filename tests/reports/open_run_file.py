"""Opens a run file with the libraries that people use. Prints one line per check; "SKIPPED" names what is not installed."""
import sys


def optional(name):
    try:
        return __import__(name)
    except ImportError:
        print(f"SKIPPED: python3-{name} is not installed, so it did not open the run file")
        return None


def check(name, value, wanted):
    if value != wanted:
        sys.exit(f"{name} is {value!r}, expected {wanted!r}")


path = sys.argv[1]
TABLES = ["models", "plan", "excluded", "machines", "measurements", "noise", "layers", "items", "long_texts"]

if h5py := optional("h5py"):
    with h5py.File(path, "r") as file:
        check("format", file.attrs["format"].decode() if isinstance(file.attrs["format"], bytes) else str(file.attrs["format"]), "quantbench run")
        check("schema version", int(file.attrs["schema_version"]), 1)
        measurements = file["measurements"]
        check("rows", measurements.shape, (4,))
        check("outcomes", [text.decode() for text in measurements["outcome"]], ["ok", "ok", "failed", "ok"])
        check("unit of a column", dict(zip(measurements.dtype.names, (measurements.attrs[f"FIELD_{k}_UNITS"] for k in range(len(measurements.dtype)))))["packed_bytes"].decode(), "bytes")
        first = measurements[0]
        hot = file["samples/time_ns"][first["hot_offset"]: first["hot_offset"] + first["hot_count"]]
        check("warm-up block", float(hot[0]), 10000.0)
        check("number of hot blocks", len(hot), 9)
        check("study", file["study"][()].decode().startswith("{ \"name\""), True)
    print("opened with h5py", h5py.__version__)

tables = optional("tables")
if tables:
    with tables.open_file(path) as file:
        for name in TABLES:
            check(f"class of {name}", type(file.get_node("/" + name)).__name__, "Table")
        check("a query", [row["unit"][:4] for row in file.root.measurements.where("packed_bytes > 5000")],
              [file.root.measurements[1]["unit"][:4]])
        check("array", len(file.root.samples.time_ns[:]), 54)
    print("opened with PyTables", tables.__version__)

pandas = optional("pandas")
if pandas and tables:
    frame = pandas.read_hdf(path, "measurements")
    check("rows of the frame", len(frame), 4)
    check("packed bytes", list(frame["packed_bytes"]), [4608, 32768, -1, 4608])
    check("missing numbers", list(frame["bits_per_weight"].isna()), [False, False, True, False])
    for name in TABLES:
        pandas.read_hdf(path, name)
    print("opened with pandas", pandas.__version__)

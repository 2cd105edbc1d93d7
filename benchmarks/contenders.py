"""Ways to find the pictures nearest to a query, each as a person would set it up, with one thread."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"
# LanceDB's own two.
os.environ["LANCE_CPU_THREADS"] = os.environ["RAYON_NUM_THREADS"] = "1"

import apsw
import faiss
import numpy as np
import sqlite_vec
from numpy.typing import NDArray

from benchmarks.worlds import Vectors
from imgqd.search.rank import nearest
from imgqd.search.resident import Resident

TOP = 10
# Of the pictures, to those that a filter lets pass.
FILTERED = 100
# What Chroma takes at a time.
_CHROMA = 5000

Ask = Callable[[Vectors], list[int]]


@dataclass(frozen=True, slots=True)
class Contender:
    """build: makes it ready for these pictures, float32 (n, dim). most: more of them take too long to be
    built. filtered: among each FILTERED-th picture alone."""

    name: str
    build: Callable[[Vectors], Ask]
    most: int = 1 << 40
    filtered: bool = False


def flat(pictures: Vectors) -> Ask:
    index = faiss.IndexFlatIP(pictures.shape[1])
    return _asked(index, pictures)


def hnsw(pictures: Vectors) -> Ask:
    index = faiss.IndexHNSWFlat(pictures.shape[1], 32, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction, index.hnsw.efSearch = 80, 128
    return _asked(index, pictures)


def fast_scan(pictures: Vectors) -> Ask:
    """4-bit product quantization, and the exact scores of the best 200."""
    dim = pictures.shape[1]
    index = faiss.index_factory(dim, f"PQ{dim // 2}x4fs,RFlat", faiss.METRIC_INNER_PRODUCT)
    index.k_factor = 20
    return _asked(index, pictures)


def _asked(index: faiss.Index, pictures: Vectors) -> Ask:
    faiss.omp_set_num_threads(os.cpu_count() or 1)
    if not index.is_trained:
        index.train(pictures[:50_000])
    index.add(pictures)
    faiss.omp_set_num_threads(1)
    return lambda query: index.search(query[None], TOP)[1][0].tolist()


def imgq(pictures: Vectors) -> Ask:
    snapshot = resident(pictures).snapshot()
    return lambda query: [id for id, _ in nearest(snapshot, query, TOP)]


def imgq_filtered(pictures: Vectors) -> Ask:
    snapshot, some = resident(pictures).snapshot(), np.arange(0, len(pictures), FILTERED)
    return lambda query: [id for id, _ in nearest(snapshot, query, TOP, some)]


_made: dict[int, Resident] = {}


def resident(pictures: Vectors) -> Resident:
    """The same for both of its contenders."""
    if id(pictures) not in _made:
        _made.clear()
        made = _made[id(pictures)] = Resident(pictures.shape[1])
        for start in range(0, len(pictures), 100_000):
            some = pictures[start : start + 100_000]
            made.add(np.arange(start, start + len(some)), some)
        made.refine()
    return _made[id(pictures)]


def numpy(pictures: Vectors) -> Ask:
    def ask(query: Vectors) -> list[int]:
        return highest(pictures @ query)

    return ask


def highest(scores: NDArray[np.float32]) -> list[int]:
    best = np.argpartition(-scores, TOP)[:TOP]
    found: list[int] = best[np.argsort(-scores[best])].tolist()
    return found


def vec0(pictures: Vectors) -> Ask:
    connection = apsw.Connection(":memory:")
    connection.enable_load_extension(True)
    connection.load_extension(sqlite_vec.loadable_path())
    connection.execute(
        f"CREATE VIRTUAL TABLE pictures USING vec0(embedding float[{pictures.shape[1]}]"
        " distance_metric=cosine)"
    )
    with connection:
        connection.executemany(
            "INSERT INTO pictures(rowid, embedding) VALUES (?, ?)",
            ((id, vector.tobytes()) for id, vector in enumerate(pictures)),
        )
    asked = f"SELECT rowid FROM pictures WHERE embedding MATCH ? AND k = {TOP}"
    return lambda query: [id for (id,) in connection.execute(asked, (query.tobytes(),))]


def lance_flat(pictures: Vectors) -> Ask:
    table = _lance(pictures)
    return lambda query: (
        table.search(query).distance_type("dot").limit(TOP).to_arrow()["id"].to_pylist()
    )


def lance_indexed(pictures: Vectors) -> Ask:
    """IVF_HNSW_SQ with 20 probes and its answers refined, the best recall of its indexes."""
    table = _lance(pictures)
    table.create_index(metric="dot", index_type="IVF_HNSW_SQ", vector_column_name="vector")

    def ask(query: Vectors) -> list[int]:
        asked = table.search(query).distance_type("dot").nprobes(20).ef(256).refine_factor(10)
        found: list[int] = asked.limit(TOP).to_arrow()["id"].to_pylist()
        return found

    return ask


def _lance(pictures: Vectors):  # type: ignore[no-untyped-def]
    import lancedb
    import pyarrow

    folder = tempfile.mkdtemp(prefix="imgq-lance-", dir=os.environ.get("TMPDIR"))
    vectors = pyarrow.FixedSizeListArray.from_arrays(
        pyarrow.array(pictures.reshape(-1)), pictures.shape[1]
    )
    rows = pyarrow.table({"id": np.arange(len(pictures)), "vector": vectors})
    return lancedb.connect(Path(folder)).create_table("pictures", rows)


def chroma(pictures: Vectors) -> Ask:
    import chromadb

    client = chromadb.EphemeralClient(chromadb.Settings(anonymized_telemetry=False))
    name = f"pictures-{len(pictures)}"
    collection = client.create_collection(name, configuration={"hnsw": {"space": "cosine"}})
    for start in range(0, len(pictures), _CHROMA):
        some = pictures[start : start + _CHROMA]
        ids = [str(id) for id in range(start, start + len(some))]
        collection.add(ids=ids, embeddings=some)

    def ask(query: Vectors) -> list[int]:
        found = collection.query(query_embeddings=query[None], n_results=TOP, include=[])
        return [int(id) for id in found["ids"][0]]

    return ask


CONTENDERS = (
    Contender("FAISS IndexFlatIP", flat),
    Contender("imgq", imgq),
    Contender("imgq, 1 % allowed", imgq_filtered, filtered=True),
    Contender("NumPy", numpy),
    Contender("sqlite-vec vec0", vec0),
    Contender("FAISS HNSW", hnsw, most=100_000),
    Contender("FAISS PQ fast scan", fast_scan, most=100_000),
    Contender("LanceDB flat", lance_flat, most=100_000),
    Contender("LanceDB IVF_HNSW_SQ", lance_indexed, most=100_000),
    Contender("Chroma", chroma, most=10_000),
)

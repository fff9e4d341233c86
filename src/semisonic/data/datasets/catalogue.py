"""Which data sets can be fetched, from where, and under which licence."""

from __future__ import annotations

from dataclasses import dataclass

ZENODO = "https://zenodo.org"


@dataclass(frozen=True)
class RemoteFile:
    """A file on a server.

    Attributes
    ----------
    name, url : str
    md5 : str
        Empty where none was published with it.
    size : int or None
        Bytes; None until the server was asked, or when it does not say.
    """

    name: str
    url: str
    md5: str = ""
    size: int | None = None


@dataclass(frozen=True)
class Archive:
    """What is unpacked into one folder.

    Attributes
    ----------
    folder : str
        The folder that it becomes.
    part : str
        What ``--parts`` calls it.
    files : tuple of RemoteFile
        One file, or the pieces of a split zip in order; the last one is the ``.zip``.
    """

    folder: str
    part: str
    files: tuple[RemoteFile, ...]


@dataclass(frozen=True)
class RemoteSet:
    """A data set that can be fetched.

    Attributes
    ----------
    name, title, licence, page : str
    about_gb : float
        Size of all archives in 10^9 bytes, roughly, for servers that do not say.
    archives : tuple of Archive
    record : str
        Address of the record that tells sizes and hashes, as Zenodo does; empty without one.
    data : str
        What to read afterwards, relative to the folder given.
    """

    name: str
    title: str
    licence: str
    page: str
    about_gb: float
    archives: tuple[Archive, ...]
    record: str = ""
    data: str = "."

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that can be fetched on their own."""
        return tuple(dict.fromkeys(archive.part for archive in self.archives))


def _zenodo(record: int, *names: str, md5: str = "") -> tuple[RemoteFile, ...]:
    address = f"{ZENODO}/records/{record}/files"
    return tuple(RemoteFile(name, f"{address}/{name}?download=1", md5) for name in names)


def _fsd(record: int, edition: str, **folders: str) -> tuple[Archive, ...]:
    """The single-file archives of an FSDKaggle record, each named after its folder."""
    return tuple(
        Archive(f"{edition}.{folder}", part, _zenodo(record, f"{edition}.{folder}.zip"))
        for folder, part in folders.items()
    )


_NOISY = "FSDKaggle2019.audio_train_noisy"
_OWN_LICENCES = "CC BY 4.0 as a whole; each clip has a Creative Commons licence of its own"
_SETS = (
    RemoteSet(
        name="esc50",
        title="ESC-50: 2 000 clips of 5 s, 50 classes, 5 folds (K. J. Piczak 2015)",
        licence="CC BY-NC, the ESC-10 part CC BY; each clip is credited in LICENSE",
        page="https://github.com/karolpiczak/ESC-50",
        about_gb=0.65,
        archives=(
            Archive(
                "ESC-50-master",
                "all",
                (
                    RemoteFile(
                        "ESC-50-master.zip",
                        "https://github.com/karolpiczak/ESC-50/archive/master.zip",
                    ),
                ),
            ),
        ),
        data="ESC-50-master",
    ),
    RemoteSet(
        name="urbansound8k",
        title="UrbanSound8K: 8 732 clips of up to 4 s, 10 classes, 10 folds (Salamon et al. 2014)",
        licence="CC BY-NC; the recordings are credited in FREESOUNDCREDITS.txt",
        page=f"{ZENODO}/records/1203745",
        about_gb=6.0,
        archives=(
            Archive(
                "UrbanSound8K",
                "all",
                _zenodo(1203745, "UrbanSound8K.tar.gz", md5="9aa69802bbf37fb986f71ec1483a196e"),
            ),
        ),
        record=f"{ZENODO}/api/records/1203745",
        data="UrbanSound8K",
    ),
    RemoteSet(
        name="fsdkaggle2018",
        title="FSDKaggle2018: 11 073 clips of 0.3 to 30 s, 41 classes (Fonseca et al. 2018)",
        licence=f"{_OWN_LICENCES}, named in the tables",
        page=f"{ZENODO}/records/2552860",
        about_gb=4.9,
        archives=_fsd(
            2552860,
            "FSDKaggle2018",
            meta="meta",
            doc="meta",
            audio_train="train",
            audio_test="test",
        ),
        record=f"{ZENODO}/api/records/2552860",
    ),
    RemoteSet(
        name="fsdkaggle2019",
        title="FSDKaggle2019: 29 266 clips of 0.3 to 30 s, 80 classes (Fonseca et al. 2019)",
        licence=f"{_OWN_LICENCES}, some of them non-commercial, named in the tables",
        page=f"{ZENODO}/records/3612637",
        about_gb=27.0,
        archives=(
            *_fsd(
                3612637,
                "FSDKaggle2019",
                meta="meta",
                doc="meta",
                audio_train_curated="curated",
                audio_test="test",
            ),
            Archive(
                _NOISY,
                "noisy",
                _zenodo(3612637, *(f"{_NOISY}.z0{i}" for i in range(1, 7)), f"{_NOISY}.zip"),
            ),
        ),
        record=f"{ZENODO}/api/records/3612637",
    ),
)
SETS = {remote.name: remote for remote in _SETS}
PARTS = tuple(dict.fromkeys(part for remote in _SETS for part in remote.parts))

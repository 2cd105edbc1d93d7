"""Version 3: all that is written of a picture or beside it, what filters and words are looked up in, a
hash of the picture's pixels and a tiny copy of it, and when files came."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgqd.store.lookup import details, names

if TYPE_CHECKING:
    import apsw

# noted: which version of `records.METADATA` read it; the older are read again. pixels: a hash of the
# upright pixels; imprint: a tiny copy (both as in `pictures.sameness`)
PICTURES = """
ALTER TABLE pictures ADD COLUMN taken_from TEXT;
ALTER TABLE pictures ADD COLUMN title TEXT;
ALTER TABLE pictures ADD COLUMN description TEXT;
ALTER TABLE pictures ADD COLUMN keywords TEXT;
ALTER TABLE pictures ADD COLUMN rating INTEGER;
ALTER TABLE pictures ADD COLUMN exposure_time REAL;
ALTER TABLE pictures ADD COLUMN f_number REAL;
ALTER TABLE pictures ADD COLUMN iso INTEGER;
ALTER TABLE pictures ADD COLUMN focal_length REAL;
ALTER TABLE pictures ADD COLUMN orientation INTEGER NOT NULL DEFAULT 1;
ALTER TABLE pictures ADD COLUMN pixels BLOB;
ALTER TABLE pictures ADD COLUMN imprint BLOB;
ALTER TABLE pictures ADD COLUMN noted INTEGER NOT NULL DEFAULT 0;
UPDATE pictures SET taken_from = 'exif' WHERE taken_at IS NOT NULL;

CREATE INDEX pictures_noted ON pictures(noted);
CREATE INDEX pictures_pixels ON pictures(pixels) WHERE pixels IS NOT NULL;
"""

# arrived: since when, as a number of `arrivals`, the file shows what it shows; NULL where it did before
# there were any. last: the latest of them; none is given twice
ARRIVALS = """
CREATE TABLE arrivals(last INTEGER NOT NULL);
INSERT INTO arrivals VALUES (0);
ALTER TABLE files ADD COLUMN arrived INTEGER;
CREATE INDEX files_arrived ON files(arrived) WHERE arrived IS NOT NULL;
"""

# a sidecar is a file that is no picture; which pictures it belongs to is in its name
SIDECARS = """
CREATE TABLE sidecars(
    file INTEGER PRIMARY KEY REFERENCES files ON DELETE CASCADE,
    taken_at TEXT,
    taken_from TEXT,
    camera TEXT,
    lens TEXT,
    latitude REAL,
    longitude REAL,
    title TEXT,
    description TEXT,
    keywords TEXT,
    rating INTEGER,
    exposure_time REAL,
    f_number REAL,
    iso INTEGER,
    focal_length REAL
);
-- that they are read
UPDATE files SET trusted = 0 WHERE picture IS NULL AND lower(substr(name, -4)) = '.xmp';
"""

# derived: a row a file that shows a picture, with what is known of it, its picture and its sidecar.
# sidecar: the file that is one for it. time: seconds since 1970, in UTC where it is zoned, else as the
# clock stood where it was taken
DETAILS = """
CREATE TABLE details(
    file INTEGER PRIMARY KEY REFERENCES files ON DELETE CASCADE,
    picture INTEGER NOT NULL,
    folder INTEGER NOT NULL,
    zoned INTEGER NOT NULL,
    time INTEGER NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    extension TEXT NOT NULL,
    rating INTEGER NOT NULL,
    latitude REAL,
    longitude REAL,
    camera TEXT,
    lens TEXT,
    sidecar INTEGER
);
"""

# derived: words as `words.indexed` has them, and the indexes over them; a folder that moves is one row
FILE_WORDS = """
CREATE VIRTUAL TABLE file_words USING fts5(
    name, title, description, keywords, camera,
    content='texts', content_rowid='file', tokenize='unicode61 remove_diacritics 0'
)
""".strip()
FOLDER_WORDS = """
CREATE VIRTUAL TABLE folder_words USING fts5(
    names, content='folder_texts', content_rowid='folder', tokenize='unicode61 remove_diacritics 0'
)
""".strip()
TEXTS = """
CREATE TABLE texts(
    file INTEGER PRIMARY KEY REFERENCES files ON DELETE CASCADE,
    name TEXT NOT NULL,
    title TEXT,
    description TEXT,
    keywords TEXT,
    camera TEXT
);
CREATE TABLE folder_texts(
    folder INTEGER PRIMARY KEY REFERENCES folders ON DELETE CASCADE,
    names TEXT NOT NULL
);
"""

# made when the tables are full, which is many times as fast
INDEXES = f"""
CREATE INDEX details_folder ON details(folder);
CREATE INDEX details_time ON details(zoned, time);
CREATE INDEX details_rating ON details(rating) WHERE rating > 0;
CREATE INDEX details_latitude ON details(latitude) WHERE latitude IS NOT NULL;
CREATE INDEX details_camera ON details(camera) WHERE camera IS NOT NULL;
CREATE INDEX details_lens ON details(lens) WHERE lens IS NOT NULL;

{FILE_WORDS};
INSERT INTO file_words(file_words) VALUES ('rebuild');
CREATE TRIGGER texts_added AFTER INSERT ON texts BEGIN
    INSERT INTO file_words(rowid, name, title, description, keywords, camera)
    VALUES (new.file, new.name, new.title, new.description, new.keywords, new.camera);
END;
CREATE TRIGGER texts_gone AFTER DELETE ON texts BEGIN
    INSERT INTO file_words(file_words, rowid, name, title, description, keywords, camera)
    VALUES ('delete', old.file, old.name, old.title, old.description, old.keywords, old.camera);
END;

{FOLDER_WORDS};
INSERT INTO folder_words(folder_words) VALUES ('rebuild');
CREATE TRIGGER folder_texts_added AFTER INSERT ON folder_texts BEGIN
    INSERT INTO folder_words(rowid, names) VALUES (new.folder, new.names);
END;
CREATE TRIGGER folder_texts_gone AFTER DELETE ON folder_texts BEGIN
    INSERT INTO folder_words(folder_words, rowid, names) VALUES ('delete', old.folder, old.names);
END;
"""


def migrate(connection: apsw.Connection) -> None:
    connection.execute(PICTURES + ARRIVALS + SIDECARS + DETAILS + TEXTS).fetchall()
    names.derive(connection)
    details.derive(connection)
    connection.execute(INDEXES).fetchall()

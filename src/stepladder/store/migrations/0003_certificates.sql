-- One row for each certificate that a run of the loop gave or refused; rows are never changed.
CREATE TABLE certificates (
    id TEXT PRIMARY KEY,
    at TEXT NOT NULL,
    body BLOB NOT NULL
);

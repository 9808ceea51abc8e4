-- One row for each thing that was run: an ask that had something to ask, a record made, a finding drawn. Rows are only added;
-- an ask's own counts grow in the transactions that store its answers, so that a killed run's cost is not lost.
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL,
    kind TEXT NOT NULL,
    label TEXT NOT NULL,
    model TEXT NOT NULL,
    requests INTEGER NOT NULL DEFAULT 0,
    errors INTEGER NOT NULL DEFAULT 0,
    tokens_in INTEGER NOT NULL DEFAULT 0,
    tokens_out INTEGER NOT NULL DEFAULT 0,
    seconds REAL NOT NULL DEFAULT 0,
    money REAL
);

-- One answer for each model fingerprint and request; never an error. `request` holds what determines the answer.
CREATE TABLE exchanges (
    key TEXT PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    request TEXT NOT NULL,
    reply TEXT NOT NULL,
    event INTEGER NOT NULL REFERENCES events (id)
);

-- `body` is the whole record as compressed JSON. `content` is a digest of what was answered: when it changes, the verdicts
-- and findings of the record are void. `inputs` is a digest of the content of the records that this one was made from.
CREATE TABLE records (
    key TEXT PRIMARY KEY,
    at TEXT NOT NULL,
    method TEXT NOT NULL,
    subject TEXT NOT NULL,
    content TEXT NOT NULL,
    inputs TEXT NOT NULL,
    body BLOB NOT NULL
);

CREATE TABLE verdicts (
    record TEXT NOT NULL,
    judge TEXT NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (record, judge)
);

CREATE TABLE findings (
    record TEXT NOT NULL,
    method TEXT NOT NULL,
    judge TEXT NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (record, method, judge)
);

-- The columns of a list that somebody turned round: shown where they are not by themselves, or put away.
CREATE TABLE column_choices (
    person TEXT NOT NULL,
    list   TEXT NOT NULL,
    turned TEXT NOT NULL,
    PRIMARY KEY (person, list)
) WITHOUT ROWID;

-- Searches that somebody keeps under a name: what an address asks for, without its path.
CREATE TABLE saved_searches (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    person TEXT NOT NULL,
    list   TEXT NOT NULL,
    name   TEXT NOT NULL,
    search TEXT NOT NULL CHECK (search <> ''),
    UNIQUE (person, list, name)
);

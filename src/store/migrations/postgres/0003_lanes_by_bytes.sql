-- Lanes are only compared for being the same: the rules of a language for sorting, which most
-- databases are set up with, would cost each new run more than its rows.

ALTER TABLE runs ALTER COLUMN lane TYPE TEXT COLLATE "C";

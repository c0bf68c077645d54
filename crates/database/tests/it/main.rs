//! The schema and its queries against a real PostgreSQL.

mod migrations;
mod rights;
mod scratch;
mod statements;
mod states;

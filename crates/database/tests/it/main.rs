//! The schema and its queries against a real PostgreSQL.

mod audit;
mod migrations;
mod rights;
mod scratch;
mod statements;
mod states;

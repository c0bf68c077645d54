//! The schema and its queries against a real PostgreSQL.

mod audit;
mod matrix;
mod migrations;
mod rights;
mod scratch;
mod statements;
mod states;

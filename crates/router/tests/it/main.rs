//! The router over real sockets: clients' bytes on one side, an upstream and
//! a control that speak HTTP on the other.

mod harness;

mod bodies;
mod connections;
mod framing;
mod hosts;
mod pages;
mod stop;
mod table;
mod upstream;
mod websocket;

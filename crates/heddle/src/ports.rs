//! Whether an address can be listened on.

use std::io;
use std::net::{SocketAddr, TcpListener};

use crate::exit::Exit;
use crate::failure::Failure;

/// A port that `setting` names. Nothing is left listening.
pub fn check(setting: &str, address: SocketAddr) -> Result<(), Failure> {
    let Err(error) = TcpListener::bind(address) else { return Ok(()) };
    let hint = match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "`ss -ltnp 'sport = :{port}'` shows whose it is; or choose another: {variable}={ip}:{other}",
            port = address.port(),
            variable = variable(setting),
            ip = address.ip(),
            other = if address.port() < u16::MAX { address.port() + 1 } else { 7700 },
        ),
        io::ErrorKind::PermissionDenied => {
            format!("ports below 1024 need root; choose another with {}", variable(setting))
        }
        _ => format!("{} must name an address of this machine", variable(setting)),
    };
    let kind = if error.kind() == io::ErrorKind::AddrInUse { "port-in-use" } else { "cannot-listen" };
    let failure = match error.kind() {
        io::ErrorKind::AddrInUse => {
            Failure::new(Exit::Refused, kind, format!("port {} ({setting}) is in use", address.port()))
        }
        _ => Failure::new(Exit::Refused, kind, format!("cannot listen on {address} ({setting})"))
            .because(&error),
    };
    Err(failure.hint(hint))
}

fn variable(setting: &str) -> String {
    format!("HEDDLE_{}", setting.to_ascii_uppercase())
}

/// A port on 127.0.0.1 that is free now; `wanted` if that one is.
pub fn free(wanted: Option<u16>) -> io::Result<u16> {
    if let Some(port) = wanted
        && TcpListener::bind(("127.0.0.1", port)).is_ok()
    {
        return Ok(port);
    }
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let failure = check("listen_console", address).unwrap_err();
        assert_eq!(failure.exit, Exit::Refused);
        assert_eq!(failure.detail, format!("port {} (listen_console) is in use", address.port()));
        let hint = failure.hint.unwrap();
        assert!(hint.contains("ss -ltnp") && hint.contains("HEDDLE_LISTEN_CONSOLE=127.0.0.1:"), "{hint}");
        drop(taken);
        check("listen_console", address).unwrap();
        assert_ne!(free(None).unwrap(), 0);
    }
}

use std::borrow::Cow;

/// What kind of thing a request's path asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathKind {
    /// `/web/database` or something below it.
    DatabaseManager,
    /// `/websocket` (Odoo 16 and later) or `/longpolling` (up to 15), or below.
    Live,
    Ordinary,
}

/// How often a path is percent-decoded. Odoo decodes once; whoever stands
/// between may do so again. Bounded because every round can be made to cost
/// the whole length.
const DECODINGS: usize = 3;

impl PathKind {
    /// `path` is a request's path as it was sent, without the query.
    ///
    /// A path is the database manager's if any of its decodings is, in any
    /// case, also below one other segment: Odoo's website takes a language off
    /// the front (`/fr/web/database`) and looks again.
    pub fn of(path: &str) -> Self {
        let mut decoded = Cow::Borrowed(path.as_bytes());
        let mut live = false;
        for round in 0..=DECODINGS {
            let segments = segments(&decoded);
            if [0, 1].iter().any(|&at| is_database_manager(segments.get(at..).unwrap_or_default())) {
                return Self::DatabaseManager;
            }
            if round <= 1 {
                live = matches!(segments.first(), Some(&b"websocket" | &b"longpolling"));
            }
            match decode(&decoded) {
                Some(next) => decoded = Cow::Owned(next),
                None => break,
            }
        }
        if live { Self::Live } else { Self::Ordinary }
    }
}

/// The target to ask the upstream for. Slashes in front are made one: Odoo's
/// HTTP server reads `//name/path` as a host and a path.
pub fn origin_target(target: &str) -> Cow<'_, str> {
    if target.starts_with("//") {
        Cow::Owned(format!("/{}", target.trim_start_matches('/')))
    } else {
        Cow::Borrowed(target)
    }
}

/// A path's segments, without empty ones and `.`, and with `..` followed.
fn segments(path: &[u8]) -> Vec<&[u8]> {
    let mut segments = Vec::new();
    for segment in path.split(|&b| b == b'/') {
        match segment {
            b"" | b"." => {}
            b".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    segments
}

fn is_database_manager(segments: &[&[u8]]) -> bool {
    matches!(segments, [web, database, ..]
        if web.eq_ignore_ascii_case(b"web") && database.eq_ignore_ascii_case(b"database"))
}

/// None if there is nothing to decode.
fn decode(path: &[u8]) -> Option<Vec<u8>> {
    let hex = |b: u8| (b as char).to_digit(16).map(|d| d as u8);
    let mut decoded = None::<Vec<u8>>;
    let mut at = 0;
    while at < path.len() {
        let byte = match path[at..] {
            [b'%', high, low, ..] => hex(high).zip(hex(low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        match byte {
            Some(byte) => {
                decoded.get_or_insert_with(|| path[..at].to_vec()).push(byte);
                at += 3;
            }
            None => {
                if let Some(decoded) = &mut decoded {
                    decoded.push(path[at]);
                }
                at += 1;
            }
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_manager_is_recognised_in_every_spelling() {
        for path in [
            "/web/database",
            "/web/database/",
            "/web/database/manager",
            "/web/%64atabase",
            "/%77%65%62/database/selector",
            "//web/database",
            "/web//database/manager",
            "///web///database",
            "/web/./database/manager",
            "/./web/database/create",
            "/x/../web/database",
            "/../../web/database",
            "/web/x/../database/drop",
            "/web/x/%2e%2e/database/drop",
            "/x%2f..%2fweb/database",
            "/web/database%2fmanager",
            "/web%2Fdatabase%2Fmanager",
            "/web%2fdatabase",
            "/web/%2564atabase",
            "/web/%252564atabase",
            "/web/database/%2e%2e%2f%2e%2e",
            "/web/database/%252e%252e/%252e%252e",
            "/WEB/Database/manager",
            "/Web/%44ATABASE",
            "/fr/web/database/manager",
            "/fr_BE/web/database",
            "//x/web/database",
            "web/database",
        ] {
            assert_eq!(PathKind::of(path), PathKind::DatabaseManager, "{path}");
        }
    }

    #[test]
    fn what_only_resembles_it_is_ordinary() {
        for path in [
            "",
            "/",
            "*",
            "/web",
            "/web/",
            "/web/login",
            "/web/databases",
            "/web/database_x",
            "/webdatabase",
            "/database/manager",
            "/web/content/database",
            "/a/b/web/database",
            "/web/database/../login",
            "/web/%64ata%2fbase",
            "/web/data%",
            "/web/%zz",
            "/web/%6",
            "/shop/product/web-database-1",
        ] {
            assert_eq!(PathKind::of(path), PathKind::Ordinary, "{path}");
        }
    }

    #[test]
    fn live_paths() {
        for path in [
            "/websocket",
            "/websocket/health",
            "/longpolling/poll",
            "/longpolling",
            "//websocket",
            "/./longpolling/poll",
            "/%77ebsocket",
        ] {
            assert_eq!(PathKind::of(path), PathKind::Live, "{path}");
        }
        for path in ["/websockets", "/web/websocket", "/Websocket", "/websocket/../web/login", "/longpoll"] {
            assert_eq!(PathKind::of(path), PathKind::Ordinary, "{path}");
        }
    }

    #[test]
    fn targets_keep_everything_but_slashes_in_front() {
        for (target, sent) in [
            ("/", "/"),
            ("/web?db=x", "/web?db=x"),
            ("//evil/web", "/evil/web"),
            ("///", "/"),
            ("/a//b/%2f/../c?x=//y", "/a//b/%2f/../c?x=//y"),
        ] {
            assert_eq!(origin_target(target), sent);
        }
    }

    #[test]
    fn a_path_of_escapes_takes_bounded_time() {
        let path = format!("/%{}", "25".repeat(32 * 1024));
        assert_eq!(PathKind::of(&path), PathKind::Ordinary);
    }
}

//! What belongs to a project, as it is named on the command line.

/// `PROJECT/NAME`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InProject {
    pub project: String,
    pub name: String,
}

impl std::str::FromStr for InProject {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('/') {
            Some((project, name)) if !project.is_empty() && !name.is_empty() && !name.contains('/') => {
                Ok(Self { project: project.to_owned(), name: name.to_owned() })
            }
            _ => Err(format!("{text:?} has no project: write it as demo/{}", text.trim_matches('/'))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_its_project() {
        let named = InProject { project: "demo".into(), name: "nightly".into() };
        assert_eq!("demo/nightly".parse(), Ok(named));
        for wrong in ["nightly", "/nightly", "demo/", "a/b/c", ""] {
            let error = wrong.parse::<InProject>().unwrap_err();
            assert!(error.contains("write it as demo/"), "{error}");
        }
    }
}

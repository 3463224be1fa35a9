//! Everything that is wrong with a configuration, one problem a line. Pure data.

/// Why a configuration cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A file could not be read or is not TOML.
    #[error("{problem}")]
    File {
        /// Which file and why.
        problem: String,
    },
    /// Keys or values are wrong.
    #[error("{}", problems.join("\n"))]
    Settings {
        /// One line each: `path.of.key: what is wrong and what is accepted`.
        problems: Vec<String>,
    },
}

impl ConfigError {
    /// The problems, one line each.
    pub fn problems(&self) -> &[String] {
        match self {
            Self::File { problem } => std::slice::from_ref(problem),
            Self::Settings { problems } => problems,
        }
    }
}

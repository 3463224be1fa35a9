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
    /// The same with more lines that may explain it.
    #[must_use]
    pub(super) fn with(mut self, more: Vec<String>) -> Self {
        if let Self::Settings { problems } = &mut self {
            problems.extend(more);
        }
        self
    }

    /// The problems, one line each.
    pub fn problems(&self) -> &[String] {
        match self {
            Self::File { problem } => std::slice::from_ref(problem),
            Self::Settings { problems } => problems,
        }
    }
}

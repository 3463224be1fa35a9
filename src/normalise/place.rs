//! Where in a body the reader is; written out as a JSON Pointer (RFC 6901) only when needed.
//!
//! A chain of borrowed steps, so that reading a right event costs nothing for it. Pure.

use std::fmt::Write;

use super::Wrong;

/// A place in a JSON document.
#[derive(Clone, Copy)]
pub(super) struct Place<'p> {
    parent: Option<&'p Place<'p>>,
    step: Step<'p>,
}

#[derive(Clone, Copy)]
enum Step<'p> {
    Root,
    Member(&'p str),
    Item(usize),
}

impl<'p> Place<'p> {
    /// The whole body.
    pub(super) const ROOT: Self = Self {
        parent: None,
        step: Step::Root,
    };

    /// A member of the object here.
    pub(super) const fn member(&'p self, name: &'p str) -> Self {
        Self {
            parent: Some(self),
            step: Step::Member(name),
        }
    }

    /// An item of the list here.
    pub(super) const fn item(&'p self, index: usize) -> Self {
        Self {
            parent: Some(self),
            step: Step::Item(index),
        }
    }

    /// What is wrong here.
    pub(super) fn wrong(&self, detail: impl Into<String>) -> Wrong {
        let mut pointer = String::new();
        self.write(&mut pointer);
        Wrong {
            pointer,
            detail: detail.into(),
        }
    }

    fn write(&self, pointer: &mut String) {
        if let Some(parent) = self.parent {
            parent.write(pointer);
        }
        match self.step {
            Step::Root => {}
            Step::Member(name) => {
                pointer.push('/');
                pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
            }
            // Writing to a String cannot fail.
            Step::Item(index) => drop(write!(pointer, "/{index}")),
        }
    }
}

//! TOML for Python: values as Python has them, and the line of each key.

use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};

use super::without_gil;
use crate::toml::{self, Member, Value};

/// Line, key, words, and the key or table that was not read.
type Fault = (usize, Py<PyTuple>, String, Option<Py<PyTuple>>);

/// A text → its members, the line of each key and array item, and its faults.
#[pyfunction]
#[pyo3(signature = (text, /))]
pub(super) fn read_toml<'py>(
    py: Python<'py>,
    text: &str,
) -> PyResult<(Bound<'py, PyDict>, Bound<'py, PyDict>, Vec<Fault>)> {
    let document = without_gil(py, text.len(), || toml::read(text));
    let lines = PyDict::new(py);
    let members = read_table(document.members, &PyTuple::empty(py), &lines)?;
    let faults = document.faults.into_iter().map(|fault| {
        let key = PyTuple::new(py, fault.key)?.unbind();
        let unread = fault.unread.map(|path| PyTuple::new(py, path)).transpose()?;
        Ok((fault.line, key, fault.text, unread.map(Bound::unbind)))
    });
    Ok((members, lines, faults.collect::<PyResult<_>>()?))
}

fn read_table<'py>(
    members: Vec<Member>,
    path: &Bound<'py, PyTuple>,
    lines: &Bound<'py, PyDict>,
) -> PyResult<Bound<'py, PyDict>> {
    let table = PyDict::new(path.py());
    for member in members {
        let inner = extend(path, &member.name)?;
        lines.set_item(&inner, member.line)?;
        table.set_item(member.name, read_value(member.value, &inner, lines)?)?;
    }
    Ok(table)
}

fn read_value<'py>(
    value: Value,
    path: &Bound<'py, PyTuple>,
    lines: &Bound<'py, PyDict>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = path.py();
    match value {
        Value::Boolean(boolean) => boolean.into_bound_py_any(py),
        Value::Integer(number) => number.into_bound_py_any(py),
        Value::Float(number) => number.into_bound_py_any(py),
        Value::Text(text) => text.into_bound_py_any(py),
        Value::Table(members) => Ok(read_table(members, path, lines)?.into_any()),
        Value::Array(items) => {
            let array = PyList::empty(py);
            for (at, (line, item)) in items.into_iter().enumerate() {
                let inner = extend(path, at)?;
                lines.set_item(&inner, line)?;
                array.append(read_value(item, &inner, lines)?)?;
            }
            Ok(array.into_any())
        }
    }
}

fn extend<'py>(
    path: &Bound<'py, PyTuple>,
    name: impl IntoPyObject<'py>,
) -> PyResult<Bound<'py, PyTuple>> {
    path.as_sequence().concat(PyTuple::new(path.py(), [name])?.as_sequence())?.to_tuple()
}

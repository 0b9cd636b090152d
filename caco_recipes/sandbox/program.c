/* Runs a compiled program in its new process and reports a plain answer, without a step of the interpreter's own code.

   A line of Python in a new process costs little time and many pages: each object that it names is counted up and down,
   and the first write to a page copies it. The harness names a hundred objects on a hundred pages; this names a dozen.
   It does what `Harness.run` does for what ends well with a plain `output`: numbers, short texts, true, false and none, and
   short lists, tuples and dicts of these. For all else it hands over to `Harness.finish` after the program has run.

   The interpreter's functions are declared here by hand, so that no header of it need be installed.
*/
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

typedef struct object object;
extern char PyLong_Type[], PyFloat_Type[], PyUnicode_Type[], PyList_Type[], PyTuple_Type[], PyDict_Type[];
extern char _Py_NoneStruct[], _Py_TrueStruct[], _Py_FalseStruct[];
object *PyMarshal_ReadObjectFromString(const char *, ssize_t);
object *PyModule_New(const char *);
object *PyModule_GetDict(object *);
object *PyImport_GetModuleDict(void);
object *PyEval_EvalCode(object *, object *, object *);
object *PyObject_Type(object *);
object *PyObject_Str(object *);
object *PyList_GetItem(object *, ssize_t);
object *PyTuple_GetItem(object *, ssize_t);
ssize_t PyList_Size(object *), PyTuple_Size(object *), PyDict_Size(object *);
int PyDict_Next(object *, ssize_t *, object **, object **);
object *PyObject_CallFunctionObjArgs(object *, ...);
object *PyObject_CallMethodObjArgs(object *, object *, ...);
object *PyDict_GetItemWithError(object *, object *);
object *PyErr_Occurred(void);
int PyDict_SetItem(object *, object *, object *);
object *PyBytes_FromStringAndSize(const char *, ssize_t);
object *PyBool_FromLong(long);
long long PyLong_AsLongLongAndOverflow(object *, int *);
double PyFloat_AsDouble(object *);
char *PyOS_double_to_string(double, char, int, int, int *);
const char *PyUnicode_AsUTF8AndSize(object *, ssize_t *);
void PyErr_Clear(void);
void PyErr_Fetch(object **, object **, object **);
void PyErr_NormalizeException(object **, object **, object **);
int PyException_SetTraceback(object *, object *);
int PyGC_Enable(void);
void PyEval_SetTrace(void *, object *);
void PyEval_SetProfile(void *, object *);
void Py_SetRecursionLimit(int);
void Py_IncRef(object *);
void Py_DecRef(object *);

enum { RESULT = 3, JOB = 4, NONCE = 16, HEADER = 18, PLAIN = 4096 }; /* descriptors; bytes: nonce, all before the code, of a value */
enum { UNKNOWN, LITERAL, CAUGHT }; /* what is known of `input` before the program runs */

struct tools {
    object *builtins, *builtins_name, *main_name, *output_name, *input_name, *standard_output, *flush_name, *finish, *no;
    int frames; /* the recursion limit that gives the program as many as an interpreter of its own */
    int enough; /* the one for what comes after it */
    int characters, items, depth; /* bounds of a value */
};

struct text { char *at, *end; };

static int put(struct text *text, const char *bytes, size_t length)
{
    if (text->end < text->at || (size_t)(text->end - text->at) < length)
        return 0;
    memcpy(text->at, bytes, length);
    text->at += length;
    return 1;
}

static int is(object *value, const char *type)
{
    object *kind = PyObject_Type(value);
    Py_DecRef(kind);
    return kind == (object *)type;
}

/* Between quotation marks; 0 when a character would have to be escaped. */
static int put_string(struct text *text, object *value, int key)
{
    ssize_t size = 0;
    const char *bytes = PyUnicode_AsUTF8AndSize(value, &size);
    if (!bytes) {
        PyErr_Clear();
        return 0;
    }
    if (size > text->end - text->at || (key && size && bytes[0] == '$'))
        return 0;
    for (ssize_t i = 0; i < size; i++)
        if (bytes[i] < ' ' || bytes[i] > '~' || bytes[i] == '"' || bytes[i] == '\\')
            return 0;
    return put(text, "\"", 1) && put(text, bytes, (size_t)size) && put(text, "\"", 1);
}

/* Appends the tagged text of a plain value; 0 when it is not plain. As codec.py's `Encoder`. */
static int encode(struct text *text, object *value, int depth, int *items)
{
    char number[32];
    ssize_t size, at = 0;

    if (is(value, PyLong_Type)) {
        int overflow = 0;
        long long whole = PyLong_AsLongLongAndOverflow(value, &overflow);
        if (overflow || whole > 1LL << 53 || whole < -(1LL << 53))
            return 0;
        return put(text, number, (size_t)snprintf(number, sizeof number, "%lld", whole));
    }
    if (is(value, PyFloat_Type)) {
        double real = PyFloat_AsDouble(value);
        char *shown = real - real == 0.0 ? PyOS_double_to_string(real, 'r', 0, 2, 0) : 0;
        return shown && put(text, shown, strlen(shown)); /* and never freed: the process is about to end */
    }
    if (is(value, PyUnicode_Type))
        return put_string(text, value, 0);
    if (value == (object *)_Py_NoneStruct)
        return put(text, "null", 4);
    if (value == (object *)_Py_TrueStruct)
        return put(text, "true", 4);
    if (value == (object *)_Py_FalseStruct)
        return put(text, "false", 5);
    int list = is(value, PyList_Type), tuple = !list && is(value, PyTuple_Type);
    if (list || tuple) {
        size = list ? PyList_Size(value) : PyTuple_Size(value);
        if (depth <= 0 || (*items -= (int)size) < 0 || !put(text, list ? "[" : "{\"$tuple\":[", list ? 1 : 11))
            return 0;
        for (; at < size; at++)
            if ((at && !put(text, ",", 1)) ||
                !encode(text, list ? PyList_GetItem(value, at) : PyTuple_GetItem(value, at), depth - 1, items))
                return 0;
        return put(text, "]}", tuple ? 2 : 1);
    }
    if (is(value, PyDict_Type)) {
        object *key, *held;
        int first = 1;
        if (depth <= 0 || (*items -= (int)PyDict_Size(value)) < 0 || !put(text, "{", 1))
            return 0;
        for (; PyDict_Next(value, &at, &key, &held); first = 0)
            if ((!first && !put(text, ",", 1)) || !is(key, PyUnicode_Type) || !put_string(text, key, 1) ||
                !put(text, ":", 1) || !encode(text, held, depth - 1, items))
                return 0;
        return put(text, "}", 1);
    }
    return 0;
}

/* Writes the record (nonce; six lengths; status, no detail, no input, output, its text) and ends; returns when the
   harness must say it. */
static void report(const struct tools *tools, const char *nonce, object *value)
{
    char out[2 * PLAIN];
    struct text text = {out + NONCE + 24, out + sizeof out};
    unsigned int lengths[6] = {2, 0, 0, 0, 0, 0};
    int items = tools->items;

    memcpy(out, nonce, NONCE);
    put(&text, "ok", 2);
    if (value) {
        char *tagged = text.at;
        text.end = tagged + (tools->characters < PLAIN ? tools->characters : PLAIN);
        if (!encode(&text, value, tools->depth < 8 ? tools->depth : 8, &items))
            return;
        lengths[3] = (unsigned int)(text.at - tagged);
        text.end = out + sizeof out;
        /* the interpreter's own text of an exact number, string, constant, list, tuple or dict of these */
        object *shown = PyObject_Str(value);
        ssize_t size = 0;
        const char *bytes = shown ? PyUnicode_AsUTF8AndSize(shown, &size) : 0;
        if (!bytes || size > tools->characters || !put(&text, bytes, (size_t)size)) {
            PyErr_Clear();
            return;
        }
        lengths[4] = (unsigned int)size;
    }
    memcpy(out + NONCE, lengths, sizeof lengths);
    ssize_t length = text.at - out;
    _exit(write(RESULT, out, (size_t)length) == length ? 0 : 70);
}

/* The exception that is under way, with its traceback. */
static void caught(object **error)
{
    object *type = 0, *value = 0, *trace = 0;
    PyErr_Fetch(&type, &value, &trace);
    PyErr_NormalizeException(&type, &value, &trace);
    if (trace)
        PyException_SetTraceback(value, trace);
    *error = value;
}

/* Returns when nothing has run yet, and the harness should try. */
void caco_run(const struct tools *tools, unsigned int length)
{
    char small[8192], *job = length <= sizeof small ? small : malloc(length);
    object *error = 0, *result;

    if (!job || length < HEADER || pread(JOB, job, length, 0) != (ssize_t)length)
        return;
    object *code = PyMarshal_ReadObjectFromString(job + HEADER, length - HEADER);
    object *module = code ? PyModule_New("__main__") : 0;
    object *names = module ? PyModule_GetDict(module) : 0;
    if (!names || PyDict_SetItem(names, tools->builtins_name, tools->builtins) < 0 ||
        PyDict_SetItem(PyImport_GetModuleDict(), tools->main_name, module) < 0) {
        PyErr_Clear();
        return;
    }
    close(JOB);
    PyGC_Enable();
    Py_SetRecursionLimit(tools->frames);
    result = PyEval_EvalCode(code, names, names);
    /* before anything else of ours runs: the program may have left a tracer or a tiny limit behind */
    if (!result)
        caught(&error);
    PyEval_SetTrace(0, 0);
    PyEval_SetProfile(0, 0);
    Py_SetRecursionLimit(tools->enough);
    object *flushed = tools->no; /* not tried yet */
    if (result) {
        flushed = PyObject_CallMethodObjArgs(tools->standard_output, tools->flush_name, (object *)0);
        if (flushed) {
            flushed = (object *)_Py_NoneStruct;
            int known = job[NONCE + 1], has_input = 0;
            object *output = 0;
            if (known == UNKNOWN)
                has_input = PyDict_GetItemWithError(names, tools->input_name) != 0;
            if (known != CAUGHT && !has_input && !PyErr_Occurred())
                output = PyDict_GetItemWithError(names, tools->output_name);
            if (PyErr_Occurred())
                PyErr_Clear(); /* a key of the program's own: the harness meets the same, and says what it is */
            else if (known != CAUGHT && !has_input) {
                if (output)
                    Py_IncRef(output);
                report(tools, job, output);
            }
        } else
            caught(&flushed);
    }
    PyObject_CallFunctionObjArgs(tools->finish, names, error ? error : (object *)_Py_NoneStruct,
                                 PyBytes_FromStringAndSize(job, NONCE), PyBool_FromLong(job[NONCE + 1] == LITERAL),
                                 flushed, (object *)0);
    _exit(70); /* it does not come back */
}

// Runs the user's preprocess function in a Python child. Both sides talk over one socket pair: the child
// takes it from its standard input and then points input at nothing and output at its standard error, so that
// what the user's code prints or reads cannot mix with the protocol.
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "base/environment.h"
#include "base/json_text.h"
#include "base/log.h"
#include "data/readers.h"
#include "xslim/error.h"

extern char** environ;

namespace xslim {
namespace {

// Request: u32 count, then per path u32 length and bytes. Reply: u8 0, u32 rank, i64 dims, elements; or u8 1,
// u32 length, error text. Numbers are little-endian. The first reply, without dims, tells that the function
// was found. A thread of the child ends it as soon as the other side of the socket is gone, however this
// program ended and whatever the function is doing.
constexpr char kDriver[] = R"python(
import os, select, socket, struct, sys, threading, traceback
link = socket.socket(fileno=os.dup(0))
null = os.open(os.devnull, os.O_RDONLY)
os.dup2(null, 0)
os.dup2(2, 1)
pipe = link.makefile("rwb")
def watch():
    ends = select.poll()
    ends.register(link, getattr(select, "POLLRDHUP", 0))
    while not any(event & ~select.POLLIN for _, event in ends.poll()):
        pass
    os._exit(1)
threading.Thread(target=watch, daemon=True).start()
def main(path, name, entry, dtype):
    try:
        import importlib.util, json
        entry, written = json.loads(entry)
        entry.update((key, value) for key, value in written.items() if value is not None)
        entry["dtype"] = dtype
        folder = os.path.dirname(os.path.abspath(path))
        sys.path.insert(0, folder)
        sys.argv = [path]
        stem = os.path.splitext(os.path.basename(path))[0]
        spec = importlib.util.spec_from_file_location(stem, path)
        if spec is None:
            raise ImportError("not a Python file (.py): " + path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[stem] = module
        spec.loader.exec_module(module)
        function = getattr(module, name)
        import numpy
        pipe.write(b"\0")
        pipe.flush()
        while True:
            head = pipe.read(4)
            if len(head) < 4:
                return
            paths = []
            for _ in range(struct.unpack("<I", head)[0]):
                paths.append(os.fsdecode(pipe.read(struct.unpack("<I", pipe.read(4))[0])))
            array = function(paths, entry)
            if hasattr(array, "detach"):
                array = array.detach().cpu().numpy()
            if array is None:
                raise TypeError("the function returned None, expected a torch.Tensor or numpy array")
            array = numpy.asarray(array).astype(dtype)
            pipe.write(b"\0" + struct.pack("<I%dq" % array.ndim, array.ndim, *array.shape) + array.tobytes())
            pipe.flush()
    except BaseException as error:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename != "<string>" and not f.filename.startswith("<frozen")]
        text = " ".join(("%s: %s" % (type(error).__name__, error)).split())
        if frames:
            text += ", at %s:%d" % (frames[-1].filename, frames[-1].lineno)
        text = text.encode("utf-8", "replace")
        pipe.write(b"\1" + struct.pack("<I", len(text)) + text)
        pipe.flush()
try:
    main(*sys.argv[1:5])
except OSError:
    pass
os._exit(0)
)python";

std::string Interpreter() {
  const std::string chosen = EnvironmentText("XSLIM_PYTHON");
  return chosen.empty() ? "python3" : chosen;
}

[[noreturn]] void FailEnded(const std::string& spec) {
  throw Error("the Python process of the preprocess function ended", spec,
              "XSLIM_PYTHON names the interpreter; its messages are on the standard error");
}

}  // namespace

std::string ScriptEntry(const InputParameters& entry, const std::string& input, const Shape* shape) {
  std::string sizes = shape == nullptr ? "null" : "[";
  for (size_t i = 0; shape != nullptr && i < shape->size(); ++i) {
    const int64_t size = (*shape)[i];
    sizes += (i == 0 ? "" : ", ") + (size >= 0 ? std::to_string(size) : i == 0 ? "1" : "null");
  }
  if (shape != nullptr) sizes += "]";
  return "[{\"input_name\": " + JsonQuoted(input) + ", \"input_shape\": " + sizes +
         ", \"file_type\": \"img\", \"color_format\": \"bgr\", \"mean_value\": null, \"std_value\": null, "
         "\"preprocess_file\": null, \"data_list_path\": null, \"dtype\": null}, " +
         (entry.json.empty() ? "{}" : entry.json) + "]";
}

Script::Script(const std::string& spec, const std::string& entry, DType dtype) : spec_(spec), dtype_(dtype) {
  const size_t colon = spec.rfind(':');
  file_ = spec.substr(0, colon);
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(file_, ignored)) {
    throw Error("the preprocess file does not exist", file_, "preprocess_file is file.py:function");
  }
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    throw Error("cannot make a socket pair for Python", file_, std::strerror(errno));
  }
  const std::string python = Interpreter(), function = spec.substr(colon + 1);
  const char* arguments[] = {python.c_str(),   "-u",          "-c",          kDriver, file_.c_str(),
                             function.c_str(), entry.c_str(), NameOf(dtype), nullptr};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], 0);
  posix_spawn_file_actions_adddup2(&actions, 2, 1);
  const int failure =
      posix_spawnp(&child_, python.c_str(), &actions, nullptr, const_cast<char**>(arguments), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  socket_ = ends[0];
  if (failure != 0) {
    child_ = -1;
    Stop();
    throw Error("cannot start " + python, file_,
                StrCat(std::strerror(failure), "; XSLIM_PYTHON names the interpreter"));
  }
  try {
    CheckReply(spec_);
  } catch (...) {
    Stop();
    throw;
  }
}

Script::~Script() { Stop(); }

void Script::Stop() {
  if (socket_ >= 0) close(socket_);
  socket_ = -1;
  if (child_ <= 0) return;
  kill(child_, SIGKILL);
  while (waitpid(child_, nullptr, 0) < 0 && errno == EINTR) {
  }
  child_ = -1;
}

void Script::Send(const void* data, size_t bytes) const {
  const char* next = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t put = send(socket_, next, bytes, MSG_NOSIGNAL);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) FailEnded(spec_);
    next += put;
    bytes -= static_cast<size_t>(put);
  }
}

void Script::Receive(void* data, size_t bytes) const {
  char* next = static_cast<char*>(data);
  while (bytes > 0) {
    const ssize_t got = recv(socket_, next, bytes, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) FailEnded(spec_);
    next += got;
    bytes -= static_cast<size_t>(got);
  }
}

void Script::CheckReply(const std::string& where, const std::vector<std::string>& paths) const {
  uint8_t status = 0;
  Receive(&status, 1);
  if (status == 0) return;
  uint32_t length = 0;
  Receive(&length, sizeof length);
  std::string text(length, '\0');
  Receive(text.data(), length);
  std::string hint = "raised by the Python code";
  if (text.rfind("ModuleNotFoundError", 0) == 0) hint += "; XSLIM_PYTHON names the interpreter";
  const auto missing = std::find_if(paths.begin(), paths.end(), [](const std::string& path) {
    std::error_code ignored;
    return !std::filesystem::exists(path, ignored);
  });
  if (missing != paths.end()) hint += "; there is no file " + *missing;
  throw Error(text, where, hint);
}

Tensor Script::Call(const std::vector<std::string>& paths) const {
  std::lock_guard<std::mutex> lock(mutex_);
  if (failure_) std::rethrow_exception(failure_);
  try {
    return CallOnce(paths);
  } catch (...) {
    failure_ = std::current_exception();
    throw;
  }
}

Tensor Script::CallOnce(const std::vector<std::string>& paths) const {
  const auto send_number = [this](size_t number) {
    const uint32_t value = static_cast<uint32_t>(number);
    Send(&value, sizeof value);
  };
  send_number(paths.size());
  for (const std::string& path : paths) {
    send_number(path.size());
    Send(path.data(), path.size());
  }
  CheckReply(StrCat(spec_, " on ", paths.empty() ? "" : paths.front()), paths);
  uint32_t rank = 0;
  Receive(&rank, sizeof rank);
  Shape shape(rank);
  Receive(shape.data(), rank * sizeof(int64_t));
  Tensor tensor(dtype_, shape);
  Receive(tensor.raw(), tensor.bytes());
  return tensor;
}

}  // namespace xslim

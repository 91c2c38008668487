// A browser starts no worker for a page that was opened as a file, and the manual's search is one.
// So its script runs in a hidden frame there; over HTTP nothing is changed.
if (location.protocol === "file:") {
  // As from a worker, no message arrives before its sender has come to an end.
  const send = (receiver, data) =>
    setTimeout(() => receiver.dispatchEvent(new MessageEvent("message", { data })))

  window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      this.frame = document.createElement("iframe")
      this.frame.hidden = true
      document.body.append(this.frame)
      this.frame.contentWindow.postMessage = data => send(this, data)
      this.loaded = new Promise((done, failed) => {
        const script = this.frame.contentDocument.createElement("script")
        Object.assign(script, { src: String(url), onload: done, onerror: failed })
        this.frame.contentDocument.body.append(script)
      })
    }
    postMessage(data) {
      this.loaded.then(() => send(this.frame.contentWindow, data))
    }
    set onmessage(listener) {
      this.addEventListener("message", listener)
    }
    set onerror(listener) {
      this.addEventListener("error", listener)
    }
    terminate() {
      this.frame.remove()
    }
  }
}

return {
  ["outlet.example"] = { name = "Outlet", pathway = "outlet" },
};

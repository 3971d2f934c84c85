; adam: p, exp_avg, g, exp_avg_sq -> p, exp_avg, exp_avg_sq
declare <16 x float> @llvm.sqrt.v16f32(<16 x float>)
declare float @llvm.sqrt.f32(float)

define void @update(ptr noalias readonly %row, i64 %begin, i64 %end, ptr %chunk) {
entry:
  %at.p.row = getelementptr i64, ptr %row, i64 4
  %at.p = load ptr, ptr %at.p.row
  %at.exp_avg.row = getelementptr i64, ptr %row, i64 6
  %at.exp_avg = load ptr, ptr %at.exp_avg.row
  %at.g.row = getelementptr i64, ptr %row, i64 5
  %at.g = load ptr, ptr %at.g.row
  %at.exp_avg_sq.row = getelementptr i64, ptr %row, i64 7
  %at.exp_avg_sq = load ptr, ptr %at.exp_avg_sq.row
  %slots.row = getelementptr i64, ptr %row, i64 2
  %slots = load ptr, ptr %slots.row
  %slot0.at = getelementptr double, ptr %slots, i64 0
  %slot0.d = load double, ptr %slot0.at
  %slot0.s = fptrunc double %slot0.d to float
  %slot0.one = insertelement <16 x float> poison, float %slot0.s, i64 0
  %slot0.v = shufflevector <16 x float> %slot0.one, <16 x float> poison, <16 x i32> zeroinitializer
  %slot1.at = getelementptr double, ptr %slots, i64 1
  %slot1.d = load double, ptr %slot1.at
  %slot1.s = fptrunc double %slot1.d to float
  %slot1.one = insertelement <16 x float> poison, float %slot1.s, i64 0
  %slot1.v = shufflevector <16 x float> %slot1.one, <16 x float> poison, <16 x i32> zeroinitializer
  %slot2.at = getelementptr double, ptr %slots, i64 2
  %slot2.d = load double, ptr %slot2.at
  %slot2.s = fptrunc double %slot2.d to float
  %slot2.one = insertelement <16 x float> poison, float %slot2.s, i64 0
  %slot2.v = shufflevector <16 x float> %slot2.one, <16 x float> poison, <16 x i32> zeroinitializer
  %slot3.at = getelementptr double, ptr %slots, i64 3
  %slot3.d = load double, ptr %slot3.at
  %slot3.s = fptrunc double %slot3.d to float
  %slot3.one = insertelement <16 x float> poison, float %slot3.s, i64 0
  %slot3.v = shufflevector <16 x float> %slot3.one, <16 x float> poison, <16 x i32> zeroinitializer
  %slot4.at = getelementptr double, ptr %slots, i64 4
  %slot4.d = load double, ptr %slot4.at
  %slot4.s = fptrunc double %slot4.d to float
  %slot4.one = insertelement <16 x float> poison, float %slot4.s, i64 0
  %slot4.v = shufflevector <16 x float> %slot4.one, <16 x float> poison, <16 x i32> zeroinitializer
  %slot5.at = getelementptr double, ptr %slots, i64 5
  %slot5.d = load double, ptr %slot5.at
  %slot5.s = fptrunc double %slot5.d to float
  %slot5.one = insertelement <16 x float> poison, float %slot5.s, i64 0
  %slot5.v = shufflevector <16 x float> %slot5.one, <16 x float> poison, <16 x i32> zeroinitializer
  %slot6.at = getelementptr double, ptr %slots, i64 6
  %slot6.d = load double, ptr %slot6.at
  %slot6.s = fptrunc double %slot6.d to float
  %slot6.one = insertelement <16 x float> poison, float %slot6.s, i64 0
  %slot6.v = shufflevector <16 x float> %slot6.one, <16 x float> poison, <16 x i32> zeroinitializer
  %count = sub i64 %end, %begin
  %bulk = and i64 %count, -16
  %turn = add i64 %begin, %bulk
  br label %v.test
v.test:
  %v.i = phi i64 [ %begin, %entry ], [ %v.next, %v.loop ]
  %v.more = icmp slt i64 %v.i, %turn
  br i1 %v.more, label %v.loop, label %s.test
v.loop:
  %v0 = getelementptr float, ptr %at.p, i64 %v.i
  %v1 = getelementptr float, ptr %at.exp_avg, i64 %v.i
  %v2 = getelementptr float, ptr %at.g, i64 %v.i
  %v3 = getelementptr float, ptr %at.exp_avg_sq, i64 %v.i
  %v4 = load <16 x float>, ptr %v0, align 4
  %v5 = load <16 x float>, ptr %v1, align 4
  %v6 = load <16 x float>, ptr %v2, align 4
  %v7 = load <16 x float>, ptr %v3, align 4
  %v8 = fmul contract <16 x float> %v5, %slot0.v
  %v9 = fmul contract <16 x float> %v6, %slot1.v
  %v10 = fadd contract <16 x float> %v8, %v9
  %v11 = fmul contract <16 x float> %v10, %slot2.v
  %v12 = fmul contract <16 x float> %v7, %slot3.v
  %v13 = fmul contract <16 x float> %v6, %v6
  %v14 = fmul contract <16 x float> %v13, %slot4.v
  %v15 = fadd contract <16 x float> %v12, %v14
  %v16 = fmul contract <16 x float> %v15, %slot5.v
  %v17 = call <16 x float> @llvm.sqrt.v16f32(<16 x float> %v16)
  %v18 = fadd contract <16 x float> %v17, %slot6.v
  %v19 = fdiv contract <16 x float> %v11, %v18
  %v20 = fsub contract <16 x float> %v4, %v19
  store <16 x float> %v20, ptr %v0, align 4
  store <16 x float> %v10, ptr %v1, align 4
  store <16 x float> %v15, ptr %v3, align 4
  %v.next = add i64 %v.i, 16
  br label %v.test
s.test:
  %s.i = phi i64 [ %turn, %v.test ], [ %s.next, %s.loop ]
  %s.more = icmp slt i64 %s.i, %end
  br i1 %s.more, label %s.loop, label %done
s.loop:
  %s0 = getelementptr float, ptr %at.p, i64 %s.i
  %s1 = getelementptr float, ptr %at.exp_avg, i64 %s.i
  %s2 = getelementptr float, ptr %at.g, i64 %s.i
  %s3 = getelementptr float, ptr %at.exp_avg_sq, i64 %s.i
  %s4 = load float, ptr %s0, align 4
  %s5 = load float, ptr %s1, align 4
  %s6 = load float, ptr %s2, align 4
  %s7 = load float, ptr %s3, align 4
  %s8 = fmul contract float %s5, %slot0.s
  %s9 = fmul contract float %s6, %slot1.s
  %s10 = fadd contract float %s8, %s9
  %s11 = fmul contract float %s10, %slot2.s
  %s12 = fmul contract float %s7, %slot3.s
  %s13 = fmul contract float %s6, %s6
  %s14 = fmul contract float %s13, %slot4.s
  %s15 = fadd contract float %s12, %s14
  %s16 = fmul contract float %s15, %slot5.s
  %s17 = call float @llvm.sqrt.f32(float %s16)
  %s18 = fadd contract float %s17, %slot6.s
  %s19 = fdiv contract float %s11, %s18
  %s20 = fsub contract float %s4, %s19
  store float %s20, ptr %s0, align 4
  store float %s10, ptr %s1, align 4
  store float %s15, ptr %s3, align 4
  %s.next = add i64 %s.i, 1
  br label %s.test
done:
  ret void
}
